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
    if (code < 0 && in.args.n && !c->args)
        code = usage_error(&in, "takes no operands, but got '%s'", in.args.v[0].p);
    if (code < 0)
        code = c->run(&in);
    mem_free(in.options.v);
    mem_free(in.args.v);
    return code;
}

static int no_command(const char *name)
{
    fprintf(stderr, "weir: no command is called '%s'%s\nTry 'weir --help'.\n", name,
            help_guess_command(str_from(name)));
    return EXIT_USAGE;
}

static int help(const char *of)
{
    const struct command *c = of ? find_command(str_from(of)) : NULL;
    if (of && !c)
        return no_command(of);
    if (c)
        help_command(c);
    else
        help_all(stdout);
    return EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    struct str name = strcmp(argv[1], "--version") == 0 ? STR("version") : str_from(argv[1]);
    const struct command *c = find_command(name);
    return c ? run(c, argc - 2, argv + 2) : no_command(argv[1]);
}

/* Output that could not be written is a failure, not a success nobody saw; but a reader that has
 * seen enough (`weir docs | head`) needs no word about it. */
static int finish(int code)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || code != EXIT_DONE)
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "weir: cannot write the output: %s\n", strerror(errno));
    return EXIT_FAILED;
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
    return finish(dispatch(argc, argv));
}
