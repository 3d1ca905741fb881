/* What the parts of the schema engine share: where we are in a document, errors with that place,
   scalars as typed values. Internal to schema. */
#pragma once
#include "schema/schema.h"

/* One step of the path, linked upwards on the stack, so that a path costs nothing until an error
 * shows it. */
struct place {
    const struct place *up;
    struct str name; /* {NULL, 0}: an index */
    size_t index;
};
struct walk {
    struct arena *a; /* of the object; NULL when nothing is stored */
    struct errors *e;
    struct str path; /* above the first place */
    bool partial;
};
enum { SCHEMA_MAX_FIELDS = 128 }; /* of one object, inlined ones included */

/* ---- place.c ---- */
bool place_fail(const struct walk *w, const struct place *at, const struct node *n, const char *fmt,
                ...) PRINTF_LIKE(4, 5);
bool place_fail_key(const struct walk *w, const struct place *at, const struct node *map,
                    const struct node_pair *key, const char *fmt, ...) PRINTF_LIKE(5, 6);
void place_path(const struct walk *w, const struct place *at, struct buf *out);
/* "want X, got Y" for any node. */
bool place_want(const struct walk *w, const struct place *at, const struct node *n,
                const char *want, bool secret);
/* At most 64 bytes of s for a message; the bytes live in out. */
const char *place_show(struct str s, char out[96]);

struct guess { /* the nearest name for "did you mean" */
    struct str wrong;
    struct str best;
    size_t distance;
};
void guess_try(struct guess *g, struct str name);
/* "; did you mean 'x'?" or "". */
const char *guess_text(const struct guess *g, char out[96]);

/* ---- value.c ---- */
union scalar {
    bool b;
    int64_t i; /* T_INT, T_DUR in ns, T_BYTES, T_RATIO in ppm, T_ENUM */
    double d;
    struct str s;
};
bool field_is_scalar(const struct field *f);
const char *field_want(const struct field *f);
/* The text in the form of f's type; range and format are not checked here. */
bool scalar_read(const struct field *f, struct str text, union scalar *ret);
/* Type, allowed values, range, length and format, with errors. */
bool scalar_parse(const struct walk *w, const struct field *f, const struct node *n,
                  const struct place *at, union scalar *ret);
/* A string against f's values, format, reference form. */
bool string_check(const struct walk *w, const struct field *f, const struct node *n,
                  const struct place *at);
void scalar_store(const struct field *f, const union scalar *v, struct arena *a, void *out);
void scalar_load(const struct field *f, const void *from, union scalar *ret);
bool scalar_equal(const struct field *f, const union scalar *a, const union scalar *b);
/* The text a user would write, for messages and trees; T_STR is not printed here. */
const char *scalar_text(const struct field *f, const union scalar *v, char out[64]);
const char *range_text(const struct field *f, int64_t v, char out[64]);

/* ---- parse.c ---- */
bool object_parse(const struct walk *w, const struct schema *s, const struct node *n, void *out,
                  const struct place *at);
void field_default(const struct field *f, struct arena *a, void *out);
/* NULL when s has no such field, inlined ones included; ret_offset and ret_index (flat order) may
 * be NULL. */
const struct field *field_find(const struct schema *s, struct str key, size_t *ret_offset,
                               unsigned *ret_index);
/* The field that takes sections standing beside the other fields, or NULL. */
const struct field *field_inline_sections(const struct schema *s);

struct any_list { /* the shape of every LIST_OF, moved with memcpy */
    char *v;
    size_t n;
};
static inline struct any_list any_list(const void *from)
{
    struct any_list l;
    memcpy(&l, from, sizeof(l));
    return l;
}
static inline bool field_inlined(const struct field *f)
{
    return (f->flags & F_INLINE) && f->type == T_OBJECT;
}
