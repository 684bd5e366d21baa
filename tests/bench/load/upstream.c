/* A fast upstream of the OpenAI shape: one thread, one epoll, each token an HTTP chunk and a packet of its own.

   upstream TOKENS                 prints its port, then serves until it is ended

   TOKENS is a file with one JSON-escaped token a line. A line with @000000000000. carries the time at which it is
   sent. An answer may begin at a line that starts with ^; the tokens come in turn for ever.

   The question, anywhere in the body of a request, says what the answer is: #n=200,r=30,s=0,d=0,h=1#
     n  number of tokens
     r  tokens a second
     s  number of the token to begin with; -1: one of the beginnings, at random
     d  milliseconds until the first token
     h  1: no token before GET /go

   GET /stats answers with what was sent so far, and when the last question came and its first token left. */
#include "common.h"

#define BUFFER_BYTES 65536 /* for a request; a long conversation makes it grow */
#define OUT_BYTES 4096
#define RETRY_SECONDS 0.005 /* until another try to send to a client that reads slowly */
#define LATE_SECONDS 1.0    /* who is that late goes on from now, not with a burst */

static const char EVENT[] =
    "data: {\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":\"chat.completion.chunk\","
    "\"created\":1770000000,\"model\":\"fake-model-1\",\"system_fingerprint\":\"fp_44709d6fcb\","
    "\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}\n\n";
static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char JSON_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s";
static const char MODELS[] = "{\"object\":\"list\",\"data\":[{\"id\":\"fake-model-1\",\"object\":\"model\","
                             "\"created\":1770000000,\"owned_by\":\"openai\"}]}";

typedef struct {
    char *chunk;
    int size, time_at; /* where the digits of the time are; -1: it carries none */
} Token;

typedef struct {
    int file;
    char *in;
    size_t in_size, in_capacity;
    char out[OUT_BYTES]; /* what the socket has not taken yet */
    int out_size, out_sent;
    int is_streaming, is_held, has_begun;
    int token, left;
    double seconds_a_token, delay_seconds, next_at;
} Connection;

static Token *tokens;
static int *beginnings;
static int token_count, beginning_count;

static Connection *connections[MOST_FILES];
static Connection *streams[MOST_FILES]; /* those that stream, in no order */
static int stream_count, epoll;

static long sent_tokens, sent_times, questions;
static double asked_at, first_at;

/* Write an event as one HTTP chunk; return its size. */
static int write_chunk(char *out, const char *event) {
    return sprintf(out, "%zx\r\n%s\r\n", strlen(event), event);
}

static void make_token(Token *token, const char *escaped) {
    char delta[700], event[1100], chunk[1200];
    snprintf(delta, sizeof delta, "\"content\":\"%s\"", escaped);
    snprintf(event, sizeof event, EVENT, delta, "null");
    token->size = write_chunk(chunk, event);
    token->chunk = strdup(chunk);
    char *time = strstr(chunk, "@000000000000.");
    token->time_at = time ? time - chunk + 1 : -1;
}

static void load_tokens(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char line[600];
    int capacity = 0;
    while (fgets(line, sizeof line, file)) {
        if (token_count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            tokens = realloc(tokens, capacity * sizeof *tokens);
            beginnings = realloc(beginnings, capacity * sizeof *beginnings);
        }
        line[strcspn(line, "\n")] = 0;
        if (*line == '^') beginnings[beginning_count++] = token_count;
        make_token(&tokens[token_count++], *line == '^' ? line + 1 : line);
    }
    fclose(file);
    if (!beginning_count) beginnings[beginning_count++] = 0;
}

static void write_time(char *digits) {
    uint64_t microseconds = now() * 1e6;
    for (int i = TIME_DIGITS - 1; i >= 0; i--, microseconds >>= 4) digits[i] = "0123456789abcdef"[microseconds & 15];
}

/* Send what is left to send. Returns 1: all is sent, 0: the client reads slowly, -1: it is gone. */
static int flush(Connection *c) {
    while (c->out_sent < c->out_size) {
        ssize_t sent = send(c->file, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        c->out_sent += sent;
    }
    c->out_size = c->out_sent = 0;
    return 1;
}

static void end_stream(Connection *c) {
    if (!c->is_streaming) return;
    c->is_streaming = 0;
    for (int i = 0; i < stream_count; i++)
        if (streams[i] == c) {
            streams[i] = streams[--stream_count];
            return;
        }
}

static void drop(Connection *c) {
    end_stream(c);
    connections[c->file] = NULL;
    close(c->file);
    free(c->in);
    free(c);
}

static void write_token(Connection *c) {
    Token *token = &tokens[c->token++ % token_count];
    memcpy(c->out, token->chunk, token->size);
    c->out_size = token->size;
    if (token->time_at >= 0) {
        write_time(c->out + token->time_at);
        sent_times++;
    }
    sent_tokens++;
    c->left--;
    if (!c->has_begun) first_at = now();
    c->has_begun = 1;
}

static void write_end(Connection *c) {
    char event[1100];
    snprintf(event, sizeof event, EVENT, "", "\"stop\"");
    c->out_size = write_chunk(c->out, event);
    c->out_size += write_chunk(c->out + c->out_size, "data: [DONE]\n\n");
    c->out_size += sprintf(c->out + c->out_size, "0\r\n\r\n");
    c->left = -1;
}

/* Send the next token, or the end. Returns 0 when the client is gone. */
static int step(Connection *c, double time) {
    int flushed = flush(c);
    if (flushed == 1 && c->left >= 0) {
        if (c->left == 0)
            write_end(c);
        else
            write_token(c);
        flushed = flush(c);
        c->next_at += c->seconds_a_token;
        if (c->next_at < time - LATE_SECONDS) c->next_at = time;
    }
    if (flushed == 0) c->next_at = time + RETRY_SECONDS;
    if (flushed == 1 && c->left < 0) end_stream(c);
    return flushed >= 0;
}

/* Begin to send tokens, each stream at another moment, so that their tokens do not come together. */
static void begin(Connection *c) {
    c->is_held = 0;
    c->next_at = now() + c->delay_seconds + (c->delay_seconds ? 0 : drand48() * c->seconds_a_token);
}

static void answer_json(Connection *c, const char *json) {
    c->out_size = snprintf(c->out, OUT_BYTES, JSON_HEAD, strlen(json), json);
    if (flush(c) < 0) shutdown(c->file, SHUT_RDWR);
}

static void answer_stream(Connection *c, const char *body) {
    double rate = 30, delay_milliseconds = 0;
    int number = 50, token = 0;
    c->is_held = 0;
    const char *told = NULL, *at = body;
    while ((at = strstr(at, "#n="))) told = at++; /* the last one: the history has those before */
    if (told) sscanf(told, "#n=%d,r=%lf,s=%d,d=%lf,h=%d#", &number, &rate, &token, &delay_milliseconds, &c->is_held);
    c->token = token < 0 ? beginnings[lrand48() % beginning_count] : token;
    c->left = number;
    c->seconds_a_token = 1 / rate;
    c->delay_seconds = delay_milliseconds / 1000;
    c->has_begun = 0;
    char event[1100];
    snprintf(event, sizeof event, EVENT, "\"role\":\"assistant\",\"content\":\"\"", "null");
    c->out_size = sprintf(c->out, "%s", STREAM_HEAD);
    c->out_size += write_chunk(c->out + c->out_size, event);
    if (flush(c) < 0) shutdown(c->file, SHUT_RDWR);
    c->is_streaming = 1;
    streams[stream_count++] = c;
    if (!c->is_held) begin(c);
}

static void begin_held(void) {
    for (int i = 0; i < stream_count; i++)
        if (streams[i]->is_held) begin(streams[i]);
}

static void answer(Connection *c, const char *body) {
    char json[300];
    if (!strncmp(c->in, "GET /stats", 10)) {
        snprintf(json, sizeof json,
                 "{\"tokens\":%ld,\"times\":%ld,\"questions\":%ld,\"asked_at\":%.6f,\"first_at\":%.6f}", sent_tokens,
                 sent_times, questions, asked_at, first_at);
        answer_json(c, json);
    } else if (!strncmp(c->in, "GET /go", 7)) {
        begin_held();
        answer_json(c, "{}");
    } else if (!strncmp(c->in, "GET ", 4)) {
        answer_json(c, MODELS);
    } else {
        questions++;
        asked_at = now();
        answer_stream(c, body);
    }
}

/* Answer each whole request that has come. */
static void take_requests(Connection *c) {
    for (;;) {
        c->in[c->in_size] = 0;
        char *head_end = strstr(c->in, "\r\n\r\n");
        if (!head_end) return;
        char *body = head_end + 4, *length = strcasestr(c->in, "content-length:");
        size_t size = body - c->in + (length && length < body ? atoi(length + 15) : 0);
        if (size > c->in_size) return;
        answer(c, body);
        memmove(c->in, c->in + size, c->in_size - size);
        c->in_size -= size;
    }
}

static void receive(Connection *c) {
    if (c->in_size + 1 >= c->in_capacity) {
        c->in_capacity *= 2;
        c->in = realloc(c->in, c->in_capacity);
    }
    ssize_t size = recv(c->file, c->in + c->in_size, c->in_capacity - c->in_size - 1, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        drop(c);
        return;
    }
    c->in_size += size;
    take_requests(c);
}

static void accept_all(int listener) {
    int file;
    while ((file = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        send_at_once(file);
        Connection *c = allocate(1, sizeof *c);
        c->file = file;
        c->in_capacity = BUFFER_BYTES;
        c->in = allocate(1, BUFFER_BYTES);
        connections[file] = c;
        watch(epoll, file, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
    }
}

/* Send all tokens that are due; return the seconds until the next one, or -1. */
static double send_due(void) {
    double time = now(), next_at = 0;
    for (int i = 0; i < stream_count;) {
        Connection *c = streams[i];
        if (!c->is_held && c->next_at <= time && !step(c, time)) {
            drop(c);
            continue;
        }
        if (!c->is_streaming) continue; /* another one has its place now */
        if (!c->is_held && (!next_at || c->next_at < next_at)) next_at = c->next_at;
        i++;
    }
    double wait = next_at - now();
    return !next_at ? -1 : wait < 0 ? 0 : wait;
}

static int listen_anywhere(void) {
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (void *)&address, size) || listen(listener, 4096)) fail("listen");
    getsockname(listener, (void *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    prepare_process();
    load_tokens(arguments[1]);
    epoll = epoll_create1(0);
    int listener = listen_anywhere();
    watch(epoll, listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        double wait = send_due();
        struct timespec timeout = {.tv_sec = wait, .tv_nsec = (wait - (long)wait) * 1e9};
        struct epoll_event events[512];
        int ready = epoll_pwait2(epoll, events, 512, wait < 0 ? NULL : &timeout, NULL);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else if (connections[events[i].data.fd])
                receive(connections[events[i].data.fd]);
        }
    }
}
