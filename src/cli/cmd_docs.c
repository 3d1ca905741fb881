/* weir docs: the reference, printed from the tables that the program itself runs by. */
#include "cli/help.h"
#include "io/file.h"
#include "model/spec.h"
#include "schema/schema.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PAGE_MAX = 16 << 20 };

static void kinds_page(struct buf *b)
{
    size_t n;
    const struct registry_row *rows = registry_rows("kind", &n);
    buf_str(b, STR("# Kinds\n\nEvery document has `apiVersion: weir/v1`, `kind`, `metadata: { name "
                   "}` and `spec`. `${NAME}` in a value is taken "
                   "from the environment; `$${` is a literal `${`.\n\n"));
    for (size_t i = 0; i < n; i++)
        schema_markdown(rows[i].schema, 2, b);
}

static void policies_page(struct buf *b)
{
    size_t n;
    const struct registry_row *rows = registry_rows("policy", &n);
    buf_str(b, STR("# Policy sections\n\nThey stand beside `target` in the spec of a Policy and "
                   "are merged field by field; the most specific target "
                   "wins.\n\n"));
    for (size_t i = 0; i < n; i++)
        schema_markdown(rows[i].schema, 2, b);
}

static void cli_page(struct buf *b)
{
    buf_str(b, STR("# Commands\n\nExit codes: 0 done, 1 failed, 2 wrong usage.\n"));
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        buf_fmt(b, "\n## weir %s%s%s\n\n%s\n", c->name, c->args ? " " : "", c->args ? c->args : "",
                c->summary);
        for (const struct option *o = c->options; o && o->name; o++)
            buf_fmt(b, "%s- `--%s%s%s`: %s%s.\n", o == c->options ? "\n" : "", o->name,
                    o->arg ? " " : "", o->arg ? o->arg : "", o->doc,
                    o->many ? "; may be repeated" : "");
        if (c->doc)
            buf_fmt(b, "\n```\n%s\n```\n", c->doc);
    }
}

/* Text for roff: a line may not begin with a dot or quote, backslashes and dashes are literal. */
static void roff(struct buf *b, const char *s)
{
    bool start = true;
    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            buf_str(b, STR("\\&"));
        if (*s == '\\')
            buf_str(b, STR("\\e"));
        else if (*s == '-')
            buf_str(b, STR("\\-"));
        else
            buf_char(b, *s);
        start = *s == '\n';
    }
}

static void man_command(struct buf *b, const struct command *c)
{
    buf_fmt(b, ".SS weir %s%s%s\n", c->name, c->args ? " " : "", c->args ? c->args : "");
    roff(b, c->summary);
    buf_char(b, '\n');
    for (const struct option *o = c->options; o && o->name; o++) {
        buf_str(b, STR(".TP\n"));
        if (o->letter)
            buf_fmt(b, "\\fB\\-%c\\fR, ", o->letter);
        buf_str(b, STR("\\fB\\-\\-"));
        roff(b, o->name);
        buf_fmt(b, "\\fR%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
        roff(b, o->doc);
        buf_str(b, o->many ? STR(" (may be repeated)\n") : STR("\n"));
    }
    if (!c->doc)
        return;
    buf_str(b, STR(".PP\n.nf\n"));
    roff(b, c->doc);
    buf_str(b, STR("\n.fi\n"));
}

static void man_page(struct buf *b)
{
    buf_fmt(b, ".TH WEIR 1 \"\" \"weir %s\" \"User Commands\"\n.SH NAME\n", weir_version);
    buf_str(b, STR("weir \\- an API gateway and service mesh in one program\n.SH SYNOPSIS\n"
                   ".B weir\n.I COMMAND\n[\\fIOPTION\\fR...] [\\fIFILE\\fR...]\n"
                   ".SH COMMANDS\n"));
    for (size_t i = 0; commands[i]; i++)
        man_command(b, commands[i]);
    buf_str(b, STR(".SH SIGNALS\n\\fBSIGHUP\\fR reads the documents again, \\fBSIGTERM\\fR and "
                   "\\fBSIGINT\\fR let requests under way finish, a second one ends at once.\n"
                   ".SH ENVIRONMENT\n\\fBNO_COLOR\\fR: no colours. \\fBNOTIFY_SOCKET\\fR: where "
                   "readiness is announced (systemd sets it). Others are read where documents say "
                   "${NAME}.\n.SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n"));
}

enum { KINDS_MAX = 64 };

static struct node *map_of(struct arena *a, const char *key, struct node *value)
{
    struct node *m = node_new(a, NODE_MAP);
    node_map_set(a, m, str_from(key), value);
    return m;
}

static struct node *words(struct arena *a, const char *const *v, size_t n)
{
    struct node *l = node_new(a, NODE_LIST);
    for (size_t i = 0; i < n; i++)
        node_list_add(a, l, node_string(a, str_from(v[i])));
    return l;
}

/* If the kind is this one, then its spec is that. */
static struct node *kind_rule(struct arena *a, const char *kind, struct node *spec)
{
    struct node *is = map_of(a, "const", node_string(a, str_from(kind)));
    struct node *rule = map_of(a, "if", map_of(a, "properties", map_of(a, "kind", is)));
    node_map_set(a, rule, STR("then"), map_of(a, "properties", map_of(a, "spec", spec)));
    return rule;
}

/* A whole document of any kind. */
static void schema_page(struct buf *b)
{
    static const char *const required[] = { "apiVersion", "kind", "metadata", "spec" };
    const struct schema *v[KINDS_MAX + 1];
    const char *names[KINDS_MAX];
    struct node *refs[KINDS_MAX + 1];
    struct arena a;
    size_t n;
    const struct registry_row *rows = registry_rows("kind", &n);
    CHECK(n <= KINDS_MAX);
    arena_init(&a, 0, 0);
    struct node *root = node_new(&a, NODE_MAP), *props = node_new(&a, NODE_MAP);
    struct node *rules = node_new(&a, NODE_LIST);
    for (size_t i = 0; i < n; i++) {
        v[i] = rows[i].schema;
        names[i] = rows[i].key;
    }
    v[n] = &metadata_schema;
    struct node *defs = schema_json_defs(v, n + 1, &a, refs);
    for (size_t i = 0; i < n; i++)
        node_list_add(&a, rules, kind_rule(&a, names[i], refs[i]));
    node_map_set(&a, props, STR("apiVersion"),
                 map_of(&a, "const", node_string(&a, STR("weir/v1"))));
    node_map_set(&a, props, STR("kind"), map_of(&a, "enum", words(&a, names, n)));
    node_map_set(&a, props, STR("metadata"), refs[n]);
    node_map_set(&a, props, STR("spec"), node_new(&a, NODE_MAP));
    node_map_set(&a, props, STR("status"), node_new(&a, NODE_MAP));
    node_map_set(&a, root, STR("$schema"),
                 node_string(&a, STR("https://json-schema.org/draft/2020-12/schema")));
    node_map_set(&a, root, STR("title"), node_string(&a, STR("Weir document")));
    node_map_set(&a, root, STR("type"), node_string(&a, STR("object")));
    node_map_set(&a, root, STR("properties"), props);
    node_map_set(&a, root, STR("required"), words(&a, required, ARRAY_LEN(required)));
    node_map_set(&a, root, STR("additionalProperties"), node_bool(&a, false));
    node_map_set(&a, root, STR("allOf"), rules);
    node_map_set(&a, root, STR("$defs"), defs);
    json_print(root, 2, b);
    buf_char(b, '\n');
    arena_fini(&a);
}

static const struct page {
    const char *file;
    void (*write)(struct buf *b);
} pages[] = { { "kinds.md", kinds_page },
              { "policies.md", policies_page },
              { "cli.md", cli_page },
              { "weir.1", man_page },
              { "weir.schema.json", schema_page } };

static int write_pages(const char *dir)
{
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        char path[4096];
        struct buf b;
        buf_init(&b, PAGE_MAX);
        pages[i].write(&b);
        int n = snprintf(path, sizeof(path), "%s/%s", dir, pages[i].file);
        bool ok = n > 0 && (size_t)n < sizeof(path) && file_replace(path, buf_view(&b), 0644);
        buf_fini(&b);
        if (!ok) {
            fprintf(stderr, "weir docs: cannot write %s: %s\n", path, strerror(errno));
            return EXIT_FAILED;
        }
    }
    return EXIT_DONE;
}

static int run(const struct invocation *in)
{
    const char *dir = invocation_option(in, "output");
    struct buf b;
    if (dir)
        return write_pages(dir);
    buf_init(&b, PAGE_MAX);
    if (invocation_option(in, "man")) {
        man_page(&b);
    } else if (in->args.n == 0) {
        kinds_page(&b);
        policies_page(&b);
        cli_page(&b);
    }
    for (size_t i = 0; i < in->args.n; i++) {
        const struct registry_row *row = registry_find("kind", in->args.v[i]);
        row = row ? row : registry_find("policy", in->args.v[i]);
        if (!row) {
            const char *guess = help_guess_row("kind", "policy", in->args.v[i]);
            buf_fini(&b);
            return usage_error(in, "nothing is called '%.*s'%s 'weir docs' prints all",
                               STR_FMT(in->args.v[i]), *guess ? guess : ";");
        }
        schema_markdown(row->schema, 1, &b);
    }
    fwrite(b.p, 1, b.n, stdout);
    buf_fini(&b);
    return EXIT_DONE;
}

static const struct option options[] = {
    { "output", 'o', "DIR",
      "Writes all reference pages, the man page and the JSON Schema into DIR" },
    { "man", 'm', NULL, "Prints the man page: weir docs --man | man -l -" },
    { NULL },
};
const struct command cmd_docs = { .name = "docs",
                                  .args = "[KIND|SECTION...]",
                                  .summary =
                                      "Prints the reference of kinds, policies and commands.",
                                  .options = options,
                                  .run = run };
