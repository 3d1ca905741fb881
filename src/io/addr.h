/* Socket addresses, small enough to keep one per endpoint. */
#pragma once
#include "base/base.h"
#include <netinet/in.h>

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
#define ADDR_TEXT_MAX 64
/* "127.0.0.1:80", "[::1]:443"; false on anything else (names are dns.h's). */
bool addr_parse(struct str s, union addr *ret);
size_t addr_print(const union addr *a, char out[ADDR_TEXT_MAX]);    /* with port; returns length */
size_t addr_print_ip(const union addr *a, char out[ADDR_TEXT_MAX]); /* without port */
uint16_t addr_port(const union addr *a);
void addr_set_port(union addr *a, uint16_t port);
bool addr_equal(const union addr *a, const union addr *b);
socklen_t addr_len(const union addr *a);
