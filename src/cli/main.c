/* The command line: finds the command, reads its options, prints help. Main thread. */
#include "base/mem.h"
#include "cli/help.h"
#include "io/signal.h"
#include <errno.h>
#include <stdio.h>

static const struct command *find_command(struct str name)
{
    for (size_t i = 0; commands[i]; i++)
        if (str_eq(name, str_from(commands[i]->name)))
            return commands[i];
    return NULL;
}

static const struct option *find_option(const struct command *c, struct str name, char letter)
{
    for (const struct option *o = c->options; o && o->name; o++)
        if (letter ? o->letter == letter : str_eq(name, str_from(o->name)))
            return o;
    return NULL;
}

struct reader {
    struct invocation *in;
    char **argv;
    int argc, at;
};

/* One option at argv[at]: --name, --name=value, --name value, -n value, -nvalue. False after an
 * error. */
static bool read_option(struct reader *r)
{
    const char *arg = r->argv[r->at++], *value = NULL;
    bool is_long = arg[1] == '-';
    struct str name = str_from(arg + 2), head, rest;
    if (is_long && str_cut(name, '=', &head, &rest)) {
        name = head;
        value = rest.p;
    }
    const struct option *o =
        is_long ? find_option(r->in->command, name, 0) : find_option(r->in->command, name, arg[1]);
    if (!o)
        return usage_error(r->in, "unknown option '%s'%s", arg,
                           help_guess_option(r->in->command, name)),
               false;
    if (!is_long && arg[2])
        value = arg + 2;
    if (!o->arg && value)
        return usage_error(r->in, "option --%s takes no value", o->name), false;
    if (o->arg && !value && r->at == r->argc)
        return usage_error(r->in, "option --%s needs a value: --%s %s", o->name, o->name, o->arg),
               false;
    if (o->arg && !value)
        value = r->argv[r->at++];
    if (!o->many && invocation_option(r->in, o->name))
        return usage_error(r->in, "option --%s was given twice", o->name), false;
    r->in->options.v[r->in->options.n++] = (struct given){ o, value ? value : "" };
    return true;
}

static int run(const struct command *c, int argc, char **argv)
{
    struct invocation in = { .command = c };
    struct reader r = { &in, argv, argc, 0 };
    in.options.v = mem_need(((size_t)argc + 1) * sizeof(*in.options.v));
    in.args.v = mem_need(((size_t)argc + 1) * sizeof(*in.args.v));
    int code = -1;
    bool only_args = false;
    while (r.at < argc && code < 0) {
        const char *a = argv[r.at];
        if (!only_args && strcmp(a, "--") == 0) {
            only_args = true;
            r.at++;
        } else if (!only_args && (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)) {
            help_command(c);
            code = EXIT_DONE;
        } else if (!only_args && a[0] == '-' && a[1]) {
            code = read_option(&r) ? -1 : EXIT_USAGE;
        } else {
            in.args.v[in.args.n++] = str_from(argv[r.at++]);
        }
    }
    if (code < 0)
        code = c->run(&in);
    mem_free(in.options.v);
    mem_free(in.args.v);
    return code;
}

int main(int argc, char **argv)
{
    signals_block();
    signals_trace_abort();
    tables_register();
    if (argc < 2) {
        help_all(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        const struct command *of = argc > 2 ? find_command(str_from(argv[2])) : NULL;
        if (of)
            help_command(of);
        else
            help_all(stdout);
        return EXIT_DONE;
    }
    struct str name = strcmp(argv[1], "--version") == 0 ? STR("version") : str_from(argv[1]);
    const struct command *c = find_command(name);
    if (!c) {
        fprintf(stderr, "weir: no command is called '%s'%s\nTry 'weir --help'.\n", argv[1],
                help_guess_command(name));
        return EXIT_USAGE;
    }
    int code = run(c, argc - 2, argv + 2);
    /* Output that could not be written is a failure, not a success nobody saw. */
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "weir: cannot write the output: %s\n", strerror(errno));
        code = EXIT_FAILED;
    }
    return code;
}
