/* Help texts, made from the command table. Main thread. */
#pragma once
#include "cli/command.h"
#include <stdio.h>

void help_all(FILE *to);
void help_command(const struct command *c); /* to stdout */
/* "; did you mean 'x'?" or ""; static memory. */
const char *help_guess_command(struct str wrong);
/* ... of two registries, the second may be NULL. */
const char *help_guess_row(const char *registry, const char *other, struct str wrong);
const char *help_guess_option(const struct command *c, struct str wrong);
