/*
 * The floor of a start: `watch DIRECTORY VALUE` waits with inotify for a directory in DIRECTORY and writes VALUE to the
 * cpu.cfs_quota_us in it; prints the monotonic time after that in nanoseconds. `make` reads paths from stdin, makes each as a
 * directory and prints the time right before that.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int make(void) {
  static char line[8192];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    long long before = now_ns();
    int failed = mkdir(line, 0755);
    printf("%lld %d\n", before, failed);
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return make();
  int watch = inotify_init1(IN_CLOEXEC);
  if (inotify_add_watch(watch, argv[2], IN_CREATE) < 0) return 4;
  puts("0");
  fflush(stdout);
  static char events[65536], path[8192];
  for (;;) {
    long got = read(watch, events, sizeof events);
    if (got <= 0) return 1;
    const struct inotify_event *event = (const void *)events;
    if (!(event->mask & IN_ISDIR)) continue;
    snprintf(path, sizeof path, "%s/%s/cpu.cfs_quota_us", argv[2], event->name);
    int fd = open(path, O_WRONLY | O_NOFOLLOW);
    long wrote = fd < 0 ? -1 : write(fd, argv[3], strlen(argv[3]));
    printf("%lld %d\n", now_ns(), wrote < 0);
    fflush(stdout);
    if (fd >= 0) close(fd);
  }
}
