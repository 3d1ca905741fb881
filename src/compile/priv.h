/* What the files of the compiler share. Internal to compile. */
#pragma once
#include "compile/compile.h"
#include "model/spec.h"
#include "snapshot/route_table.h"

/* The ranks of policies: a later one wins field by field. */
enum rank { RANK_MESH, RANK_SERVICE, RANK_GATEWAY, RANK_LISTENER, RANK_ROUTE, RANKS };
/* The policies of one target, those that win last. Address = identity. */
struct target {
    struct str key;          /* rank and name */
    const struct object **v; /* by priority, then name */
    size_t n, cap;
};
/* The targets that a use of policies falls under; NULL = no policy there. */
struct stack {
    const struct target *at[RANKS];
};
/* One merged set, by name in compiled.origins. */
struct merged {
    struct str name;
    const struct object **members; /* the policies in it, the most specific last */
    size_t n;
    const struct node *sections; /* sparse */
};
/* One listener of a gateway. */
struct gate {
    struct str name; /* "edge/web" */
    const struct object *gateway;
    const struct gateway_listener *conf;
    const struct target *gateway_policies, *listener_policies;
    struct map hosts; /* host → struct bucket (routes.c) */
};
struct compile {
    const struct model *m;
    struct arena *a;
    struct errors *e;
    struct compiled *out;
    size_t cap;         /* of out->resources */
    struct map targets; /* key → struct target */
    struct map sets;    /* struct stack as bytes → struct merged; the empty set has no members */
    struct map told;    /* errors of merged sections that were told already */
    struct gate *gates;
    size_t n_gates;
    struct buf scratch; /* for the text being made; freed with the rest when memory is out */
    struct arena table_scratch; /* for the route table being made */
};

/* ---- compile.c ---- seals; bytes and name must live on the arena */
void compile_add(struct compile *c, enum resource_type type, struct str name, struct str bytes);
struct str compile_json(struct compile *c, const struct node *n);

/* ---- policy.c ---- */
/* Reads all policies; errors for sections that their target cannot honour. */
void policies_index(struct compile *c);
const struct target *policies_of(const struct compile *c, enum rank rank, struct str name);
/* The RES_POLICY name of what the stack merges to, made when it is new; "" = nothing is set. */
struct str policy_set_name(struct compile *c, const struct stack *s);

/* ---- merge.c ---- */
/* Lays top over under, section by section and field by field. Of alternatives (one_of) only the
   one that top gives stays. Either may be NULL. */
const struct node *merge_sections(struct arena *a, const struct node *under,
                                  const struct node *top);

/* ---- routes.c ---- */
void routes_compile(struct compile *c);
/* ---- rules.c ---- */
struct prepared { /* one match of one rule */
    const struct object *route;
    uint32_t rule, match;
    int64_t priority;
    uint64_t path_rank, detail; /* the higher comes first */
    struct str created;         /* "" = not told: younger than all */
    struct str key;      /* equal for matches that take the same requests, priority included */
    uint64_t hash;       /* of key */
    struct rule_def def; /* without its action */
};
void rule_prepare(struct compile *c, const struct object *route, uint32_t rule, uint32_t match,
                  struct prepared *ret);
/* <0: a comes first. The total order of the model. */
int rule_compare(const struct prepared *a, const struct prepared *b);
