/* DNS messages as far as a stub resolver needs them (RFC 1035): one question, addresses and aliases
 * back. Pure; bytes are hostile. */
#pragma once
#include "base/base.h"

enum {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_NAME_MAX = 255,
    DNS_QUERY_MAX = 12 + DNS_NAME_MAX + 5 + 11,
    DNS_ADDRESSES_MAX = 64
};
struct dns_address {
    uint8_t ip[16];
    uint8_t len; /* 4 or 16 */
};
struct dns_reply {
    struct dns_address v[DNS_ADDRESSES_MAX]; /* more are left out */
    size_t n;
    uint32_t ttl; /* seconds: the smallest of the chain and its addresses; of a negative answer from
                     its SOA, 0 if it has none */
    uint8_t rcode;  /* 0 = no error, 2 = server failure, 3 = no such name */
    bool truncated; /* ask again over TCP */
};
/* Is it a host name that can be asked for? At most 253 bytes, labels of 1 to 63. One trailing dot
 * is fine. */
bool dns_name_valid(struct str name);
/* Length of the query with EDNS(0) for 1,232 bytes; 0 when the name is not valid. */
size_t dns_query_make(uint16_t id, struct str name, uint16_t type, char out[DNS_QUERY_MAX]);
/* False: not an answer to (id, name, type), or malformed: to be ignored. Aliases are followed
 * inside the message, at most 8. */
bool dns_reply_parse(struct str msg, uint16_t id, struct str name, uint16_t type,
                     struct dns_reply *ret);
