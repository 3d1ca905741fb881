/* weir version. */
#include "cli/command.h"
#include <stdio.h>

static int run(const struct invocation *in)
{
    bool json;
    if (!invocation_json(in, &json))
        return EXIT_USAGE;
    if (json)
        printf("{\"version\":\"%s\",\"compiler\":\"%s\"}\n", weir_version, __VERSION__);
    else
        printf("weir %s (compiled by %s)\n", weir_version, __VERSION__);
    return EXIT_DONE;
}

static const struct option options[] = { OUTPUT_OPTION, { NULL } };
const struct command cmd_version = {
    .name = "version", .summary = "Prints the version.", .options = options, .run = run
};
