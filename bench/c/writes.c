/*
 * The floor of a policy edit: watches a directory as a policy's is watched, and when a file is renamed into it, writes every value
 * of a list, one open, write and close each. The list has `PATH<TAB>TEXT<TAB>OTHER TEXT` a line; the two texts take turns.
 * Prints the monotonic time of the last write and the CPU time, both in nanoseconds. Usage: writes DIRECTORY LIST
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct value {
  char *path;
  char *text[2];
};

static long long clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  FILE *in = fopen(argv[2], "r");
  if (in == NULL) return 3;
  static char line[8192];
  size_t count = 0, room = 1024;
  struct value *all = malloc(room * sizeof *all);
  while (fgets(line, sizeof line, in)) {
    line[strcspn(line, "\n")] = 0;
    if (count == room) all = realloc(all, (room *= 2) * sizeof *all);
    struct value *one = &all[count++];
    one->path = strdup(strtok(line, "\t"));
    one->text[0] = strdup(strtok(NULL, "\t"));
    one->text[1] = strdup(strtok(NULL, "\t"));
  }
  fclose(in);
  int watch = inotify_init1(IN_CLOEXEC);
  if (inotify_add_watch(watch, argv[1], IN_MOVED_TO) < 0) return 4;
  puts("0");
  fflush(stdout);
  char events[4096];
  for (int turn = 0; read(watch, events, sizeof events) > 0; turn ^= 1) {
    long long before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int failed = 0;
    for (size_t at = 0; at < count; at++) {
      const char *text = all[at].text[turn];
      int fd = open(all[at].path, O_WRONLY | O_NOFOLLOW);
      if (fd < 0 || write(fd, text, strlen(text)) < 0) failed++;
      if (fd >= 0) close(fd);
    }
    printf("%lld %lld %d\n", clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before, failed);
    fflush(stdout);
  }
  return 0;
}
