/* weir version. */
#include "cli/command.h"
#include <stdio.h>

static int run(const struct invocation *in)
{
    const char *format = invocation_option(in, "output");
    if (format && strcmp(format, "json") == 0)
        printf("{\"version\":\"%s\",\"compiler\":\"%s\"}\n", weir_version, __VERSION__);
    else
        printf("weir %s (compiled by %s)\n", weir_version, __VERSION__);
    return EXIT_DONE;
}

static const struct option options[] = { { "output", 'o', "FORMAT", "json, or text (the default)" },
                                         { NULL } };
const struct command cmd_version = {
    .name = "version", .summary = "Prints the version.", .options = options, .run = run
};
