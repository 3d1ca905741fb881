/* A schema with a field of every type the descriptor engine knows, for its unit test and its fuzz
   target. Definitions, not declarations: included by one file of a program. Whoever includes it
   says in EVERY_TYPE_REQUESTS whether limit.requests is required or has a default, names the whole
   (all_fields) and fills the registry "every-type". */
#pragma once
#include "schema/schema.h"

enum { KEY_ADDRESS, KEY_HEADER };
static const struct enum_value keys[] = { { "clientAddress", KEY_ADDRESS, "The peer." },
                                          { "header", KEY_HEADER, "A header of the request." },
                                          { 0 } };
static const struct enum_value words[] = { { "connect-failure", 0, NULL },
                                           { "503", 1, NULL },
                                           { 0 } };

struct limit { /* the case of the design notes */
    int64_t requests;
    struct dur window;
    uint8_t key;
    bool dry_run;
};
static const struct field limit_fields[] = {
    FIELD(struct limit, requests, "requests", "Requests allowed per window.", EVERY_TYPE_REQUESTS,
          .min = 1, .max = 1000000000),
    FIELD(struct limit, window, "window", "Length of the window.", .def = "1s", .min = NS_PER_MS,
          .max = 3600 * NS_PER_S),
    FENUM(struct limit, key, "key", keys, "What is counted.", .def = "clientAddress"),
    FIELD(struct limit, dry_run, "dryRun", "Count, but never refuse."),
    FEND,
};
static const struct schema limit_schema = { .name = "limit",
                                            .doc = "Refuses requests over a rate.",
                                            .size = sizeof(struct limit),
                                            .fields = limit_fields };

struct path_match {
    struct str exact, prefix, regex;
};
static const struct field path_fields[] = {
    FIELD(struct path_match, exact, "exact", "The whole path.", .format = FMT_PATH),
    FIELD(struct path_match, prefix, "prefix", "Whole segments from the start.",
          .format = FMT_PATH),
    FIELD(struct path_match, regex, "regex", "The whole path as a pattern.", .format = FMT_REGEX),
    FEND,
};
static const struct schema path_schema = { .name = "path",
                                           .doc = "One of three.",
                                           .size = sizeof(struct path_match),
                                           .fields = path_fields,
                                           .one_of = true };

struct match {
    struct path_match *path;
    str_list methods;
};
static const struct field match_fields[] = {
    FPTR(struct match, path, "path", &path_schema, "What the path must be."),
    FIELD(struct match, methods, "methods", "Methods that match.", .format = FMT_METHOD),
    FEND,
};
static const struct schema match_schema = {
    .name = "match", .doc = "All must hold.", .size = sizeof(struct match), .fields = match_fields
};

struct target {
    struct str service;
    int64_t weight;
};
static const struct field target_fields[] = {
    FIELD(struct target, service, "service", "Where to.", .flags = F_REQUIRED | F_REF,
          .ref = "Service"),
    FIELD(struct target, weight, "weight", "Share.", .def = "1", .max = 100),
    FEND,
};
static const struct schema target_schema = {
    .name = "target", .doc = "A backend.", .size = sizeof(struct target), .fields = target_fields
};

struct rule {
    LIST_OF(struct match) match;
    LIST_OF(struct target) to;
};
static const struct field rule_fields[] = {
    FLIST(struct rule, match, "match", &match_schema, "Any of these."),
    FLIST(struct rule, to, "to", &target_schema, "Where requests go.", .flags = F_STR_SHORT,
          .min = 1, .max = 3),
    FEND,
};
static const struct schema rule_schema = {
    .name = "rule", .doc = "One rule.", .size = sizeof(struct rule), .fields = rule_fields
};

struct inlined {
    bool a, b;
};
static const struct field inlined_fields[] = {
    FIELD(struct inlined, a, "wantA", "A."),
    FIELD(struct inlined, b, "wantB", "B."),
    FEND,
};
static const struct schema inlined_schema = { .name = "inlined",
                                              .doc = "A or B.",
                                              .size = sizeof(struct inlined),
                                              .fields = inlined_fields,
                                              .one_of = true };

struct port {
    struct str key;
    int64_t number;
};
static const struct field port_fields[] = {
    FIELD(struct port, number, "number", "The port.", .flags = F_REQUIRED, .min = 1, .max = 65535),
    FEND,
};
static const struct schema port_schema = {
    .name = "port", .doc = "A port.", .size = sizeof(struct port), .fields = port_fields
};

struct all {
    bool flag;
    int64_t count;
    double number;
    struct dur dur;
    struct bytes size;
    struct ratio share;
    struct str text, secret;
    uint8_t key;
    struct limit limit;
    struct limit *maybe;
    str_list on, hosts;
    int_list ints;
    LIST_OF(struct rule) rules;
    str_map labels;
    LIST_OF(struct port) ports;
    const struct node *policies, *sections, *node;
    struct inlined in;
};
static const struct field all_fields[] = {
    FOBJ(struct all, in, "in", &inlined_schema, "Stands in the map.", .flags = F_INLINE),
    FIELD(struct all, flag, "flag", "A flag."),
    FIELD(struct all, count, "count", "A number.", .min = 1, .def = "7"),
    FIELD(struct all, number, "number", "A fraction.", .def = "0.5", .min = -1, .max = 1),
    FIELD(struct all, dur, "dur", "A time.", .def = "1.5s"),
    FIELD(struct all, size, "size", "A size.", .def = "16KiB", .min = 1024, .max = 1 << 20),
    FIELD(struct all, share, "share", "A share.", .def = "12.5%", .max = 500000),
    FIELD(struct all, text, "text", "A text.", .min = 2, .max = 5),
    FIELD(struct all, secret, "secret", "A secret.", .flags = F_SECRET),
    FENUM(struct all, key, "key", keys, "A word.", .def = "header"),
    FOBJ(struct all, limit, "limit", &limit_schema, "Embedded."),
    FPTR(struct all, maybe, "maybe", &limit_schema, "Only when given."),
    FIELD(struct all, on, "on", "Reasons.", .values = words, .def = "[connect-failure]"),
    FIELD(struct all, hosts, "hosts", "Hosts.", .format = FMT_HOST),
    FIELD(struct all, ints, "ints", "Numbers.", .max = 3),
    FLIST(struct all, rules, "rules", &rule_schema, "Rules."),
    FIELD(struct all, labels, "labels", "Labels."),
    FMAP(struct all, ports, "ports", &port_schema, "Ports.", .format = FMT_NAME),
    FSECTIONS(struct all, policies, "policies", "every-type", "Sections in their own map."),
    FSECTIONS(struct all, sections, "sections", "every-type", "Sections beside the fields.",
              .flags = F_INLINE),
    FNODE(struct all, node, "node", "Anything."),
    FEND,
};
