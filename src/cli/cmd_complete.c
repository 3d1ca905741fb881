/* weir complete: completion for shells, from the command table. */
#include "cli/help.h"
#include "schema/schema.h"
#include <stdio.h>

static void names(const char *separator)
{
    for (size_t i = 0; commands[i]; i++)
        printf("%s%s", i ? separator : "", commands[i]->name);
}

/* The words that may stand where a command takes operands; nothing when those are files. */
static void operands(const struct command *c)
{
    size_t n;
    struct str args = str_from(c->args ? c->args : "");
    if (str_starts(args, STR("[KIND"))) {
        const struct registry_row *kinds = registry_rows("kind", &n);
        for (size_t i = 0; i < n; i++)
            printf(" %s", kinds[i].key);
        const struct registry_row *sections = registry_rows("policy", &n);
        for (size_t i = 0; i < n; i++)
            printf(" %s", sections[i].key);
    }
    if (str_starts(args, STR("bash|")))
        printf(" bash zsh fish paths");
}

static bool takes_files(const char *arg)
{
    return arg && (strstr(arg, "FILE") || strstr(arg, "DIR"));
}

static void bash_command(const struct command *c)
{
    printf("    %s)\n        options=\"--help", c->name);
    for (const struct option *o = c->options; o && o->name; o++)
        printf(" --%s", o->name);
    printf("\"; values=\"");
    for (const struct option *o = c->options; o && o->name; o++)
        if (o->arg && !takes_files(o->arg)) {
            printf(" --%s", o->name);
            if (o->letter)
                printf(" -%c", o->letter);
        }
    printf("\"; words=\"");
    operands(c);
    printf("\"; files=%s ;;\n", takes_files(c->args) ? "yes" : "no");
}

static void bash(void)
{
    printf(
        "_weir() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local options= values= words= files=no commands=\"help ");
    names(" ");
    printf(
        "\"\n    COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "        COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n        return\n    fi\n"
        "    case ${COMP_WORDS[1]} in\n    help) words=$commands ;;\n");
    for (size_t i = 0; commands[i]; i++)
        bash_command(commands[i]);
    printf(
        "    esac\n"
        "    case $cur in -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")); return ;; esac\n"
        "    case \" $values \" in *\" $prev \"*)\n"
        "        case $prev in --output|-o)\n"
        "            COMPREPLY=($(compgen -W \"json text\" -- \"$cur\")) ;;\n        esac\n"
        "        return ;;\n    esac\n"
        "    case $prev in --*) files=yes ;; esac\n"
        "    if [ -n \"$words\" ]; then\n"
        "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "    elif [ $files = yes ]; then\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n    fi\n"
        "}\ncomplete -o filenames -F _weir weir\n");
}

/* Texts inside '...' of a shell script. `special`: what a backslash stands before, too. */
static void quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr(special, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* The words an option can have as its value; NULL: any text, or a file. */
static const char *choices(const struct option *o)
{
    return strcmp(o->name, "output") == 0 ? "json text" : NULL;
}

static void zsh_option(const struct option *o)
{
    printf(" \\\n            ");
    if (o->many)
        printf("'*'");
    else if (o->letter)
        printf("'(-%c --%s)'", o->letter, o->name);
    if (o->letter)
        printf("{-%c%s,--%s%s}", o->letter, o->arg ? "+" : "", o->name, o->arg ? "=" : "");
    else
        printf("--%s%s", o->name, o->arg ? "=" : "");
    printf("'[");
    quoted(o->doc, "[]:\\");
    printf("]");
    if (choices(o))
        printf(":%s:(%s)", o->arg, choices(o));
    else if (o->arg)
        printf(":%s:%s", o->arg, takes_files(o->arg) ? "_files" : " ");
    printf("'");
}

static void zsh(void)
{
    printf(
        "#compdef weir\n_weir() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(");
    for (size_t i = 0; commands[i]; i++) {
        printf("\n            '%s:", commands[i]->name);
        quoted(commands[i]->summary, ":\\");
        printf("'");
    }
    printf(
        ")\n        _describe command commands\n        return\n    fi\n"
        "    local command=${words[2]}\n    shift words\n    (( CURRENT-- ))\n"
        "    case $command in\n");
    for (size_t i = 0; commands[i]; i++) {
        printf("    %s)\n        _arguments -s", commands[i]->name);
        for (const struct option *o = commands[i]->options; o && o->name; o++)
            zsh_option(o);
        printf(" \\\n            '--help[Tells what the command does.]' '*:%s:",
               takes_files(commands[i]->args) ? "file" : "word");
        if (takes_files(commands[i]->args)) {
            printf("_files' ;;\n");
        } else {
            printf("(");
            operands(commands[i]);
            printf(" )' ;;\n");
        }
    }
    printf("    esac\n}\n_weir \"$@\"\n");
}

static void fish_command(const struct command *c)
{
    printf("complete -c weir -n __fish_use_subcommand -a %s -d '", c->name);
    quoted(c->summary, "\\");
    printf("'\n");
    if (takes_files(c->args)) {
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -F\n", c->name);
    } else {
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -a '", c->name);
        operands(c);
        printf("'\n");
    }
    for (const struct option *o = c->options; o && o->name; o++) {
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
        if (o->letter)
            printf(" -s %c", o->letter);
        if (choices(o))
            printf(" -x -a '%s'", choices(o));
        else if (o->arg)
            fputs(takes_files(o->arg) ? " -r -F" : " -x", stdout);
        printf(" -d '");
        quoted(o->doc, "\\");
        printf("'\n");
    }
}

static void fish(void)
{
    printf("complete -c weir -f\n");
    for (size_t i = 0; commands[i]; i++)
        fish_command(commands[i]);
}

static int paths(const struct invocation *in)
{
    const struct registry_row *row = in->args.n > 1 ? registry_find("kind", in->args.v[1]) : NULL;
    struct buf b;
    if (in->args.n < 2)
        return usage_error(in, "paths needs a kind: weir complete paths Route spec.rules");
    if (!row)
        return usage_error(in, "no kind is called '%.*s'%s", STR_FMT(in->args.v[1]),
                           help_guess_row("kind", NULL, in->args.v[1]));
    struct str prefix = in->args.n > 2 ? in->args.v[2] : STR("");
    if (str_starts(prefix, STR("spec.")))
        prefix = str_sub(prefix, 5, prefix.n);
    buf_init(&b, 1 << 20);
    schema_paths(row->schema, prefix, &b);
    fwrite(b.p, 1, b.n, stdout);
    buf_fini(&b);
    return EXIT_DONE;
}

static int run(const struct invocation *in)
{
    struct str what = in->args.n ? in->args.v[0] : STR("");
    if (str_eq(what, STR("bash")))
        bash();
    else if (str_eq(what, STR("zsh")))
        zsh();
    else if (str_eq(what, STR("fish")))
        fish();
    else if (str_eq(what, STR("paths")))
        return paths(in);
    else
        return usage_error(in, "give bash, zsh, fish or paths");
    return EXIT_DONE;
}

const struct command cmd_complete = {
    .name = "complete",
    .args = "bash|zsh|fish|paths KIND [PREFIX]",
    .summary = "Prints completion for a shell, or the field paths of a kind.",
    .doc = "Example:\n  source <(weir complete bash)",
    .run = run,
};
