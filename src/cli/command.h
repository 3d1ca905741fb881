/* Commands: one file a command (src/cli/cmd_<name>.c exports `const struct command cmd_<name>`);
   the listing is the table. Help and completion come from these rows. */
#pragma once
#include "base/base.h"

struct option {
    const char *name; /* without --; NULL ends the table */
    char letter;      /* 0 = none */
    const char *arg;  /* "FILE"; NULL: a switch */
    const char *doc;
    bool many; /* may be given more than once */
};
struct given { /* one option as it stood on the command line */
    const struct option *option;
    const char *value; /* "" for switches */
};
struct invocation {
    const struct command *command;
    LIST_OF(struct given) options;
    str_list args; /* operands, NUL-terminated */
};
struct command {
    const char *name, *args; /* args: "FILE|DIR..." */
    const char *summary;     /* one line */
    const char *doc;         /* paragraphs with examples, may be NULL */
    const struct option *options;
    int (*run)(const struct invocation *in); /* exit code: 0 done, 1 failed, 2 usage */
};
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
extern const struct command *const commands[]; /* NULL-terminated, sorted by name; tables.c */
extern const char weir_version[];
/* NULL when not given; the last one wins. "" for a switch that was given. */
const char *invocation_option(const struct invocation *in, const char *name);
/* Iterates over all: start with *i = 0. */
const char *invocation_next(const struct invocation *in, const char *name, size_t *i);
/* Prints "weir NAME: text" with the hint to --help to stderr; returns EXIT_USAGE. */
int usage_error(const struct invocation *in, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* -o FORMAT: sets *ret_json; false after a usage error. */
#define OUTPUT_OPTION                                          \
    {                                                          \
        "output", 'o', "FORMAT", "json, or text (the default)" \
    }
bool invocation_json(const struct invocation *in, bool *ret_json);
void tables_register(
    void); /* fills the registries: filters, sections, balancing algorithms, kinds */
