/*
 * Stands in for guests: COUNT processes with THREADS threads each beside the main one, which wait for ever, or with
 * `burn` keep the CPU busy. Prints `PID TID TID …` a line, then an empty line. They end with their parent.
 * Usage: idle COUNT THREADS [burn]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int burn;
static int out[2];

static void *work(void *unused) {
  (void)unused;
  int tid = syscall(SYS_gettid);
  if (write(out[1], &tid, sizeof tid) < 0) return NULL;
  for (volatile unsigned long turns = 0;; turns++)
    if (!burn) pause();
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int count = atoi(argv[1]), threads = atoi(argv[2]);
  burn = argc > 3;
  for (int at = 0; at < count; at++) {
    if (pipe(out) < 0) return 1;
    int pid = fork();
    if (pid < 0) return 1;
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(out[0]);
      pthread_attr_t small;
      pthread_attr_init(&small);
      pthread_attr_setstacksize(&small, 64 * 1024);
      pthread_t thread;
      for (int one = 0; one < threads; one++) pthread_create(&thread, &small, work, NULL);
      for (;;) pause();
    }
    close(out[1]);
    printf("%d", pid);
    for (int one = 0, tid; one < threads && read(out[0], &tid, sizeof tid) == sizeof tid; one++) printf(" %d", tid);
    puts("");
    close(out[0]);
  }
  puts("");
  fflush(stdout);
  for (;;) pause();
}
