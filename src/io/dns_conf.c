/* The resolver's files. See dns_conf.h. */
#include "io/dns_conf.h"
#include "io/file.h"

enum { FILE_MAX = 1 << 20 };

static bool next_line(struct str *text, struct str *ret)
{
    if (text->n == 0)
        return false;
    size_t n = str_find(*text, '\n');
    *ret = str_sub(*text, 0, n);
    *text = str_sub(*text, n + 1, text->n);
    ret->n = str_find(*ret, '#');
    ret->n = str_find(*ret, ';');
    return true;
}

static bool next_word(struct str *line, struct str *ret)
{
    *line = str_trim(*line);
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    *ret = str_sub(*line, 0, n);
    *line = str_sub(*line, n, line->n);
    return n > 0;
}

static bool parse_ip(struct str s, uint16_t port, union addr *ret)
{
    char text[ADDR_TEXT_MAX];
    bool v6 = str_find(s, ':') < s.n;
    if (s.n + 9 > sizeof(text))
        return false;
    size_t n = 0;
    if (v6)
        text[n++] = '[';
    memcpy(text + n, s.p, s.n);
    n += s.n;
    if (v6)
        text[n++] = ']';
    memcpy(text + n, ":0", 2);
    if (!addr_parse((struct str){ text, n + 2 }, ret))
        return false;
    addr_set_port(ret, port);
    return true;
}

static void read_option(struct dns_conf *c, struct str word)
{
    struct str name, value;
    uint64_t v;
    if (!str_cut(word, ':', &name, &value) || !str_to_u64(value, &v))
        return;
    if (str_eq(name, STR("ndots")))
        c->ndots = v < 15 ? (unsigned)v : 15;
    else if (str_eq(name, STR("attempts")))
        c->attempts = v < 1 ? 1 : v < 5 ? (unsigned)v : 5;
    else if (str_eq(name, STR("timeout")))
        c->timeout = (v < 1 ? 1 : v < 10 ? (int64_t)v : 10) * NS_PER_S;
}

static void read_line(struct dns_conf *c, struct str line, struct arena *a)
{
    struct str key, word;
    if (!next_word(&line, &key))
        return;
    if (str_eq(key, STR("search")) || str_eq(key, STR("domain")))
        c->n_search = 0;
    while (next_word(&line, &word)) {
        if (str_eq(key, STR("nameserver")) && c->n_servers < DNS_SERVERS)
            c->n_servers += parse_ip(word, 53, &c->server[c->n_servers]);
        else if ((str_eq(key, STR("search")) || str_eq(key, STR("domain"))) &&
                 c->n_search < DNS_SEARCH)
            c->search[c->n_search++] = arena_str(a, word);
        else if (str_eq(key, STR("options")))
            read_option(c, word);
    }
}

void dns_conf_parse(struct dns_conf *c, struct str text, struct arena *a)
{
    struct str line;
    *c = (struct dns_conf){ .ndots = 1, .attempts = 2, .timeout = 2 * NS_PER_S };
    while (next_line(&text, &line))
        read_line(c, line, a);
    if (c->n_servers == 0 && parse_ip(STR("127.0.0.1"), 53, &c->server[0]))
        c->n_servers = 1; /* resolv.conf(5) */
}

void dns_conf_read(struct dns_conf *c, struct arena *a)
{
    struct str text;
    dns_conf_parse(c, file_read(a, "/etc/resolv.conf", FILE_MAX, &text) ? text : STR(""), a);
}

size_t dns_hosts_find(struct str text, struct str name, union addr *v, size_t cap)
{
    struct str line, ip, word;
    size_t n = 0;
    while (n < cap && next_line(&text, &line)) {
        bool named = false;
        if (!next_word(&line, &ip))
            continue;
        while (next_word(&line, &word))
            named |= str_ieq(word, name);
        if (named && parse_ip(ip, 0, &v[n]))
            n++;
    }
    return n;
}

size_t dns_hosts(struct str name, union addr *v, size_t cap)
{
    struct arena a;
    struct str text;
    arena_init(&a, 0, 0);
    size_t n =
        file_read(&a, "/etc/hosts", FILE_MAX, &text) ? dns_hosts_find(text, name, v, cap) : 0;
    arena_fini(&a);
    return n;
}
