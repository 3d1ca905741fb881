/* The request of `weir explain` as text: "GET https://shop.example/api/x", or just the URL. Pure.
 */
#pragma once
#include "base/arena.h"
#include "codec/message.h"

enum { QUESTION_HEADERS_MAX = 64 };
struct question {
    struct arena a; /* the caller's: init and fini */
    struct http_message m;
    struct header headers[QUESTION_HEADERS_MAX];
    struct str host; /* in lower case */
    bool https;
};
/* NULL, or static text about what is wrong. Slices of m point into text or into q->a. */
const char *question_read(struct question *q, const char *text);
bool question_add_header(struct question *q, const char *text); /* "Name: value" */
