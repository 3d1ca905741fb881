/* A loop, a connection of src/http to a socket of ours, and a user of its streams that checks what
   http.h promises: the order of events, nothing after the end, nothing from inside a call, heads
   that can be written on. What it answers is decided by the message (so that it cannot depend on
   how the bytes came) or by the fuzzer. For fuzz targets. */
#pragma once
#include "http/http.h"

/* The bytes of an input, taken from its front; zeros when there are no more. */
struct script {
    const uint8_t *p;
    size_t n;
};
uint8_t script_byte(struct script *s);
struct str script_bytes(struct script *s, size_t n);

enum { USER_STREAMS = 300, USER_BIG = 150000 };
struct user_stream {
    struct http_stream *s; /* NULL: free */
    bool client, headed, got_end, sent_head, sent_end, paused, tunnel;
    int inside; /* calls of ours under way */
    uint64_t hash, got, left;
    uint8_t plan;
};
struct user {
    struct loop *loop;
    struct http_server srv;
    struct http_client *cl;
    bool ended, gone; /* of cl */
    bool opened;      /* cl may be asked */
    bool aborted;     /* a connection was dropped: what the peer saw may be cut anywhere */
    bool echoed;      /* chunks went out as they came in */
    int peer;         /* our end of the connection; -1 = closed */
    uint64_t seen;    /* hash over all events and bodies */
    uint64_t out;     /* hash over what the peer received */
    size_t out_n;
    struct user_stream v[USER_STREAMS];
};

/* A server connection, or a client one asked for from proto. False when the kernel has no more. */
bool user_server(struct user *u, bool h2);
bool user_client(struct user *u, uint8_t proto);
void user_send(struct user *u, const void *p, size_t n); /* from the peer; then two turns */
void user_turns(struct user *u, unsigned n);             /* the peer reads what is there */
void user_eof(struct user *u);
void user_request(struct user *u, uint8_t plan); /* client: another stream, if it may */
/* One thing a user may do, chosen by two bytes. */
void user_act(struct user *u, uint8_t what, uint8_t which);
/* What is left of a script's operations: `eof` ends the peer's side, the others choose a thing the
   user or time does. */
void user_other(struct user *u, struct script *s, uint8_t op, uint8_t eof);
void user_finish(struct user *u); /* everything ends; nothing may be left */
