/*
 * The floor of an exposition: the bytes of a page's labels are there, each line is copied and its number printed anew,
 * whole numbers by hand, others with the 17 digits that always read back. The first line on stdin is the path of a page; every further one starts
 * a round, whose CPU time is answered in microseconds. Usage: exposition
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct series {
  const char *prefix;
  size_t length;
  double value;
  int has_value;
};

static double cpu_usec(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

static char *print_whole(char *at, double value) {
  char digits[24];
  int count = 0;
  unsigned long long rest = value < 0 ? -value : value;
  if (value < 0) *at++ = '-';
  do digits[count++] = '0' + rest % 10;
  while ((rest /= 10) > 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

int main(void) {
  static char line[8192];
  if (!fgets(line, sizeof line, stdin)) return 2;
  line[strcspn(line, "\n")] = 0;
  FILE *in = fopen(line, "r");
  if (in == NULL) return 3;
  size_t count = 0, room = 1024, total = 0;
  struct series *all = malloc(room * sizeof *all);
  while (fgets(line, sizeof line, in)) {
    if (count == room) all = realloc(all, (room *= 2) * sizeof *all);
    struct series *one = &all[count++];
    char *space = strrchr(line, ' ');
    one->has_value = line[0] != '#' && space != NULL;
    if (one->has_value) {
      one->value = strtod(space + 1, NULL);
      space[1] = 0;
    }
    one->length = strlen(line);
    one->prefix = strdup(line);
    total += one->length + 32;
  }
  fclose(in);
  char *page = malloc(total);
  puts("0");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    double before = cpu_usec();
    char *at = page;
    for (size_t index = 0; index < count; index++) {
      const struct series *one = &all[index];
      memcpy(at, one->prefix, one->length);
      at += one->length;
      if (!one->has_value) continue;
      if (one->value == floor(one->value) && fabs(one->value) < 1e18) at = print_whole(at, one->value);
      else at += sprintf(at, "%.17g", one->value);
      *at++ = '\n';
    }
    printf("%.0f %zu\n", cpu_usec() - before, (size_t)(at - page));
    fflush(stdout);
  }
  return 0;
}
