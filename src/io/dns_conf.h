/* What /etc/resolv.conf and /etc/hosts say. Blocking reads of small files, when a query starts. */
#pragma once
#include "base/arena.h"
#include "io/addr.h"

enum { DNS_SERVERS = 3, DNS_SEARCH = 6 };
struct dns_conf {
    union addr server[DNS_SERVERS];
    size_t n_servers;
    struct str search[DNS_SEARCH]; /* on the arena */
    size_t n_search;
    unsigned ndots, attempts;
    int64_t timeout; /* ns of one try */
};
void dns_conf_read(struct dns_conf *c, struct arena *a);
/* Addresses of name in the hosts file, at most cap; 0 when it has none. */
size_t dns_hosts(struct str name, union addr *v, size_t cap);
/* The same of a text; what is not understood is left out, as every resolver does. */
void dns_conf_parse(struct dns_conf *c, struct str text, struct arena *a);
size_t dns_hosts_find(struct str text, struct str name, union addr *v, size_t cap);
