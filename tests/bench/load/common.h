/* What the upstream and the client share: one clock, sockets that do not block, and no small limit of files. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 65536
#define TIME_DIGITS 12 /* hexadecimal digits of a time: microseconds of the monotonic clock */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time)) return 0; /* the clock of a process that has ended */
    return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Seconds of the clock that all processes of a machine share. */
static double now(void) { return seconds_of(CLOCK_MONOTONIC); }

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void send_at_once(int connection) {
    int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void watch(int epoll, int file, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.fd = file};
    if (epoll_ctl(epoll, operation, file, &event)) fail("epoll_ctl");
}

/* Allow many files, and do not end when a peer leaves. */
static void prepare_process(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < MOST_FILES ? limit.rlim_max : MOST_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) fail("calloc");
    return memory;
}
