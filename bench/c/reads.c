/*
 * The floor of a steady cycle: the same files, read as cheaply as C can. Its list has one access a line, `K PATH` (keep
 * the descriptor, pread), `O PATH` (open, read, close), `D PATH` (a directory's entries), `S PATH` (stat). With the mode
 * `kept` every file and directory stays open up to CAP descriptors, and what is over it is opened for each read; with
 * `same` each access is made as it is written. The first line on stdin is the path of the list; every further one starts a
 * round, whose CPU time is answered in microseconds. Usage: reads kept|same CAP
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct access {
  char kind;
  int fd;
  char *path;
};

static char buffer[65536];
static unsigned long long bytes;

static double cpu_usec(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

static void list(int fd) {
  for (;;) {
    long got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (got <= 0) return;
    bytes += got;
  }
}

static void make(const struct access *one) {
  struct stat status;
  int fd = one->fd;
  switch (one->kind) {
    case 'S':
      bytes += stat(one->path, &status) == 0;
      return;
    case 'D':
      if (fd >= 0) lseek(fd, 0, SEEK_SET);
      else fd = open(one->path, O_RDONLY | O_DIRECTORY);
      list(fd);
      break;
    default:
      if (fd < 0) fd = open(one->path, O_RDONLY | O_NOFOLLOW);
      ssize_t got = pread(fd, buffer, sizeof buffer, 0);
      if (got > 0) bytes += got;
  }
  if (one->fd < 0 && fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int kept = strcmp(argv[1], "kept") == 0;
  long cap = atol(argv[2]);
  static char line[8192];
  if (!fgets(line, sizeof line, stdin)) return 2;
  line[strcspn(line, "\n")] = 0;
  FILE *in = fopen(line, "r");
  if (in == NULL) return 3;
  size_t count = 0, room = 1024;
  struct access *all = malloc(room * sizeof *all);
  while (fgets(line, sizeof line, in)) {
    line[strcspn(line, "\n")] = 0;
    if (count == room) all = realloc(all, (room *= 2) * sizeof *all);
    struct access *one = &all[count++];
    one->kind = line[0];
    one->path = strdup(line + 2);
    one->fd = -1;
    int keep = one->kind == 'K' || (kept && one->kind != 'S');
    if (!keep || cap <= 0) continue;
    one->fd = open(one->path, one->kind == 'D' ? O_RDONLY | O_DIRECTORY : O_RDONLY);
    if (one->fd >= 0) cap--;
  }
  fclose(in);
  puts("0");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    double before = cpu_usec();
    for (size_t at = 0; at < count; at++) make(&all[at]);
    printf("%.0f %llu\n", cpu_usec() - before, bytes);
    fflush(stdout);
  }
  return 0;
}
