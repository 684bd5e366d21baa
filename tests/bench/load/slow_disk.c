/* A disk that takes its time to confirm that a file is written. For LD_PRELOAD.

   SLOW_DISK_MS milliseconds; and as long as the file STUCK_DISK exists, beside which a file STUCK_DISK.waiting is made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note_waiting(const char *stuck) {
    char path[4096];
    snprintf(path, sizeof path, "%s.waiting", stuck);
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void wait_for_disk(void) {
    const char *milliseconds = getenv("SLOW_DISK_MS"), *stuck = getenv("STUCK_DISK");
    if (milliseconds) usleep(atoi(milliseconds) * 1000);
    while (stuck && !access(stuck, F_OK)) {
        note_waiting(stuck);
        usleep(5000);
    }
}

int fsync(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    wait_for_disk();
    return real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    wait_for_disk();
    return real(file);
}
