/* The answers of weir echo. One thread. */
#pragma once
#include "http/http.h"

struct echo {
    struct loop *loop;
    struct tls_ctx *tls; /* NULL = clear */
    const char *name;    /* NULL = none */
    struct dur delay;
    uint16_t status;
};
void echo_request(struct echo *e, struct http_stream *s, struct http_message *m, bool end);
