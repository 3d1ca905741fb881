/* What commands ask about their command line. */
#include "cli/command.h"
#include <stdio.h>

const char weir_version[] = "0.1.0";

const char *invocation_next(const struct invocation *in, const char *name, size_t *i)
{
    while (*i < in->options.n) {
        const struct given *g = &in->options.v[(*i)++];
        if (strcmp(g->option->name, name) == 0)
            return g->value;
    }
    return NULL;
}

const char *invocation_option(const struct invocation *in, const char *name)
{
    const char *last = NULL, *v;
    for (size_t i = 0; (v = invocation_next(in, name, &i));)
        last = v;
    return last;
}

bool invocation_json(const struct invocation *in, bool *ret_json)
{
    const char *format = invocation_option(in, "output");
    *ret_json = format && strcmp(format, "json") == 0;
    if (!format || *ret_json || strcmp(format, "text") == 0)
        return true;
    usage_error(in, "--output takes json or text, not '%s'", format);
    return false;
}

int usage_error(const struct invocation *in, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "weir %s: ", in->command->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nTry 'weir %s --help'.\n", in->command->name);
    va_end(ap);
    return EXIT_USAGE;
}
