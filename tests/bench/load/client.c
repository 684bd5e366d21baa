/* A fast client of many event streams: one thread, one epoll. It reads no more of a stream than the times in it.

   client PORT REQUESTS UPSTREAM_PORT UPSTREAM_PID SERVER_PIDS...

   REQUESTS is a file with the requests, one for each stream: a line with its length, then its bytes. When all streams
   have answered, the upstream is told to begin; when all have had their first time, a line "ready" is written.

   From then on each line on the standard input ends a window and begins the next one: what happened in the window is
   written as a line of JSON. The streams are closed when the standard input is.

   A time in a stream, as @ and 12 hexadecimal digits and a dot, is when the upstream sent it. A block of a page may be
   sent anew, so a time that is not later than the last one of its stream is not counted. */
#include "common.h"

#define MOST_SERVERS 64
#define OPEN_EACH_SECONDS 0.001
#define PATIENCE_SECONDS 120.0
#define READ_BYTES (1 << 18)

enum { CLOSED, CONNECTING, ASKED, ANSWERED };

typedef struct {
    int file, state;
    char *request;
    int request_size;
    int digits; /* of a time that is being read; -1: none */
    uint64_t time, last_time;
} Stream;

/* Sums since the start; a window is the difference of two. */
typedef struct {
    double at, server_seconds, upstream_seconds, client_seconds;
    long bytes, reads, times;
    long sent_tokens, sent_times; /* by the upstream */
} Sums;

static Stream *streams;
static int stream_count, opened, answered, begun, failed;
static Stream *by_file[MOST_FILES];
static int epoll, port, upstream_port;
static pid_t upstream, servers[MOST_SERVERS];
static int server_count;
static Sums sums, before; /* until now, and at the beginning of the window */
static float *lags; /* of this window, in milliseconds */
static long lag_count, lag_capacity;
static char problem[200]; /* the first one */

static void load_requests(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    int size, capacity = 0;
    while (fscanf(file, "%d", &size) == 1 && fgetc(file) == '\n') {
        if (stream_count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            streams = realloc(streams, capacity * sizeof *streams);
        }
        Stream stream = {.request = allocate(1, size + 1), .request_size = size, .digits = -1};
        if (fread(stream.request, 1, size, file) != (size_t)size) fail(path);
        streams[stream_count++] = stream;
    }
    fclose(file);
}

/* Ask the upstream and wait for its answer, which is short. */
static void ask_upstream(const char *path, char *answer, size_t size) {
    struct sockaddr_in address = loopback(upstream_port);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (void *)&address, sizeof address)) fail("the upstream");
    dprintf(connection, "GET %s HTTP/1.1\r\nHost: upstream\r\n\r\n", path);
    ssize_t got = recv(connection, answer, size - 1, 0);
    answer[got > 0 ? got : 0] = 0;
    close(connection);
}

static double processor_seconds(pid_t process) {
    clockid_t clock;
    return clock_getcpuclockid(process, &clock) ? 0 : seconds_of(clock);
}

static void note_sums(void) {
    char answer[600];
    ask_upstream("/stats", answer, sizeof answer);
    char *body = strstr(answer, "\r\n\r\n");
    if (body) sscanf(body, "\r\n\r\n{\"tokens\":%ld,\"times\":%ld", &sums.sent_tokens, &sums.sent_times);
    sums.server_seconds = 0;
    for (int i = 0; i < server_count; i++) sums.server_seconds += processor_seconds(servers[i]);
    sums.upstream_seconds = processor_seconds(upstream);
    sums.client_seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    sums.at = now();
}

static int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static double lag_at(double share) { return lag_count ? lags[(long)(share * (lag_count - 1))] : -1; }

static void write_window(void) {
    note_sums();
    qsort(lags, lag_count, sizeof *lags, compare);
    printf("{\"seconds\":%.4f,\"server_seconds\":%.4f,\"upstream_seconds\":%.4f,\"client_seconds\":%.4f,", //
           sums.at - before.at, sums.server_seconds - before.server_seconds,
           sums.upstream_seconds - before.upstream_seconds, sums.client_seconds - before.client_seconds);
    printf("\"bytes\":%ld,\"reads\":%ld,\"times\":%ld,\"sent_tokens\":%ld,\"sent_times\":%ld,", //
           sums.bytes - before.bytes, sums.reads - before.reads, sums.times - before.times,
           sums.sent_tokens - before.sent_tokens, sums.sent_times - before.sent_times);
    printf("\"lag_p50\":%.3f,\"lag_p99\":%.3f,\"lag_max\":%.3f,\"failed\":%d,\"problem\":\"%s\"}\n", lag_at(.5),
           lag_at(.99), lag_at(1), failed, problem);
    fflush(stdout);
    before = sums;
    lag_count = 0;
}

static void note_lag(Stream *s) {
    if (s->time <= s->last_time) return;
    if (!s->last_time) begun++;
    s->last_time = s->time;
    sums.times++;
    if (lag_count == lag_capacity) {
        lag_capacity = lag_capacity ? lag_capacity * 2 : 65536;
        lags = realloc(lags, lag_capacity * sizeof *lags);
    }
    lags[lag_count++] = (now() * 1e6 - s->time) / 1e3;
}

static int digit_of(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Find the times in what has come; one may begin in one read and end in the next. */
static void find_times(Stream *s, const char *at, const char *end) {
    while (at < end) {
        if (s->digits < 0) {
            at = memchr(at, '@', end - at);
            if (!at) return;
            at++;
            s->digits = 0;
            s->time = 0;
        } else if (s->digits < TIME_DIGITS && digit_of(*at) >= 0) {
            s->time = s->time << 4 | digit_of(*at++);
            s->digits++;
        } else {
            if (s->digits == TIME_DIGITS && *at == '.') note_lag(s);
            s->digits = -1;
        }
    }
}

static void give_up(Stream *s, const char *why) {
    if (!*problem)
        for (int i = 0; why[i] && i < 150; i++) problem[i] = why[i] < ' ' || strchr("\"\\", why[i]) ? ' ' : why[i];
    by_file[s->file] = NULL;
    close(s->file);
    s->state = CLOSED;
    failed++;
}

static void open_stream(Stream *s) {
    struct sockaddr_in address = loopback(port);
    s->file = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->file < 0 || s->file >= MOST_FILES) fail("too many files");
    send_at_once(s->file);
    connect(s->file, (void *)&address, sizeof address);
    s->state = CONNECTING;
    by_file[s->file] = s;
    watch(epoll, s->file, EPOLLOUT | EPOLLIN, EPOLL_CTL_ADD);
}

static void ask(Stream *s) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->file, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        give_up(s, strerror(error));
        return;
    }
    if (send(s->file, s->request, s->request_size, 0) != s->request_size) {
        give_up(s, "a request was sent in part");
        return;
    }
    s->state = ASKED;
    watch(epoll, s->file, EPOLLIN, EPOLL_CTL_MOD);
}

static void receive(Stream *s) {
    static char buffer[READ_BYTES];
    ssize_t size = recv(s->file, buffer, READ_BYTES - 1, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        give_up(s, size < 0 ? strerror(errno) : "a stream ended");
        return;
    }
    buffer[size] = 0;
    if (s->state == ASKED) {
        if (size < 12 || memcmp(buffer + 9, "200", 3)) {
            give_up(s, buffer);
            return;
        }
        s->state = ANSWERED;
        answered++;
    }
    sums.bytes += size;
    sums.reads++;
    find_times(s, buffer, buffer + size);
}

static void handle(const struct epoll_event *event) {
    Stream *s = by_file[event->data.fd];
    if (!s) return;
    if (s->state == CONNECTING)
        ask(s);
    else
        receive(s);
}

static void turn(int milliseconds) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll, events, 512, milliseconds);
    for (int i = 0; i < ready; i++) handle(&events[i]);
}

/* Open the streams one after the other, and wait until each has answered or failed. */
static void open_all(void) {
    double started = now();
    while (answered + failed < stream_count && now() < started + PATIENCE_SECONDS) {
        while (opened < stream_count && now() >= started + opened * OPEN_EACH_SECONDS) open_stream(&streams[opened++]);
        turn(opened < stream_count ? 1 : 20);
    }
    failed += stream_count - answered - failed;
}

static void wait_for_first_times(void) {
    double started = now();
    while (begun + failed < stream_count && now() < started + PATIENCE_SECONDS) turn(20);
}

/* Returns 0 when the standard input is closed. */
static int take_command(void) {
    char command[64];
    ssize_t size = read(STDIN_FILENO, command, sizeof command);
    if (size > 0) write_window();
    return size != 0;
}

static void serve_commands(void) {
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    watch(epoll, STDIN_FILENO, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[512];
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != STDIN_FILENO)
                handle(&events[i]);
            else if (!take_command())
                return;
        }
    }
}

int main(int count, char **arguments) {
    if (count < 6) return 2;
    prepare_process();
    port = atoi(arguments[1]);
    load_requests(arguments[2]);
    upstream_port = atoi(arguments[3]);
    upstream = atoi(arguments[4]);
    for (int i = 5; i < count && server_count < MOST_SERVERS; i++) servers[server_count++] = atoi(arguments[i]);
    epoll = epoll_create1(0);
    char answer[600];
    open_all();
    ask_upstream("/go", answer, sizeof answer);
    wait_for_first_times();
    note_sums();
    before = sums;
    puts("ready");
    fflush(stdout);
    serve_commands();
    return 0;
}
