/* Help texts. See help.h. */
#include "cli/help.h"
#include "schema/schema.h"

void help_all(FILE *to)
{
    fprintf(to,
            "Weir: an API gateway and service mesh in one program.\n\nUsage: weir COMMAND "
            "[OPTION...] [FILE...]\n\nCommands:\n");
    for (size_t i = 0; commands[i]; i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(
        to,
        "\nFirst steps:\n"
        "  weir echo --listen 127.0.0.1:9000 &        an upstream that says what it received\n"
        "  weir up --to http://127.0.0.1:9000         a proxy on 127.0.0.1:8000, no file needed\n"
        "  weir docs Gateway                          what can be written in documents\n\n"
        "'weir COMMAND --help' tells more. Exit codes: 0 done, 1 failed, 2 wrong usage.\n");
}

void help_command(const struct command *c)
{
    printf("%s\n\nUsage: weir %s%s%s%s\n", c->summary, c->name,
           c->options && c->options->name ? " [OPTION...]" : "", c->args ? " " : "",
           c->args ? c->args : "");
    if (c->options && c->options->name)
        printf("\nOptions:\n");
    for (const struct option *o = c->options; o && o->name; o++) {
        char left[64];
        int n = snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
                         o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                         o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-30s %s%s\n", left, o->doc, o->many ? " (may be repeated)" : "");
        (void)n;
    }
    if (c->doc)
        printf("\n%s\n", c->doc);
}

static const char *hint(const char *best, size_t distance, const char *before)
{
    static char text[96];
    if (!best || distance > 3)
        return "";
    snprintf(text, sizeof(text), "; did you mean '%s%.40s'?", before, best);
    return text;
}

const char *help_guess_command(struct str wrong)
{
    const char *best = NULL;
    size_t least = 9;
    for (size_t i = 0; commands[i]; i++) {
        size_t d = str_distance(wrong, str_from(commands[i]->name));
        if (d < least) {
            least = d;
            best = commands[i]->name;
        }
    }
    return hint(best, least, "");
}

const char *help_guess_option(const struct command *c, struct str wrong)
{
    const char *best = NULL;
    size_t least = 9;
    for (const struct option *o = c->options; o && o->name; o++) {
        size_t d = str_distance(wrong, str_from(o->name));
        if (d < least) {
            least = d;
            best = o->name;
        }
    }
    return hint(best, least, "--");
}

static void nearest_row(const char *registry, struct str wrong, const char **best, size_t *least)
{
    size_t n;
    const struct registry_row *rows = registry_rows(registry, &n);
    for (size_t i = 0; i < n; i++) {
        struct str key = str_from(rows[i].key);
        size_t d = str_ieq(wrong, key) ? 0 : str_distance(wrong, key);
        if (d < *least) {
            *least = d;
            *best = rows[i].key;
        }
    }
}

const char *help_guess_row(const char *registry, const char *other, struct str wrong)
{
    const char *best = NULL;
    size_t least = 9;
    nearest_row(registry, wrong, &best, &least);
    if (other)
        nearest_row(other, wrong, &best, &least);
    return hint(best, least, "");
}
