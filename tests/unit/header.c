/* Field names to ids, validity of names and values, lookup and removal, list members. */
#include "codec/header.h"
#include "../harness/harness.h"

static void ids(void)
{
    CASE("every named id is found, in any case");
    for (int id = 1; id < HDR_COUNT; id++) {
        char upper[32];
        struct str name = header_id_name[id];
        EXPECT(name.n > 0);
        for (size_t i = 0; i < name.n; i++)
            upper[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 32 : name.p[i]);
        EXPECT_INT(header_id_of(name), id);
        EXPECT_INT(header_id_of((struct str){ upper, name.n }), id);
    }
    CASE("one wrong byte anywhere is another field");
    for (int id = 1; id < HDR_COUNT; id++) {
        char wrong[32];
        struct str name = header_id_name[id];
        memcpy(wrong, name.p, name.n);
        for (size_t i = 0; i < name.n; i++) {
            wrong[i] = name.p[i] == '-'
                           ? '\r'
                           : '_'; /* CR differs from '-' by the bit that case differs by */
            bool family = i > 11 && str_starts(name, STR("x-forwarded-"));
            EXPECT_INT(header_id_of((struct str){ wrong, name.n }),
                       family ? HDR_X_FORWARDED_OTHER : HDR_OTHER);
            wrong[i] = name.p[i];
        }
        EXPECT_INT(header_id_of(str_sub(name, 0, name.n - 1)),
                   str_starts(name, STR("x-forwarded-")) ? HDR_X_FORWARDED_OTHER : HDR_OTHER);
    }
    CASE("identity headers are families");
    static const struct {
        const char *name;
        int id;
    } rows[] = {
        { "X-Consumer-Id", HDR_X_CONSUMER },
        { "X-Forwarded-Prefix", HDR_X_FORWARDED_OTHER },
        { "x-forwarded-", HDR_X_FORWARDED_OTHER },
        { "X-Original-URL", HDR_X_FORWARDED_OTHER },
        { "x-rewrite-url", HDR_X_FORWARDED_OTHER },
        { "x-consumer-groups-and-more", HDR_X_CONSUMER },
        { "X-Consumer", HDR_X_CONSUMER },
        { "X-Credential-Identifier", HDR_X_CONSUMER },
        { "x-authenticated-user", HDR_X_CONSUMER },
        { "X-Consumers", HDR_OTHER },
        { "X-Authenticated", HDR_OTHER },
        { "y-consumer-id", HDR_OTHER },
        { "", HDR_OTHER },
        { "x", HDR_OTHER },
        { "x-a-rather-long-name-of-a-field-that-nobody-knows", HDR_OTHER },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        EXPECT_INT(header_id_of(str_from(rows[i].name)), rows[i].id);
}

static void disguises(void)
{
    static const char *yes[] = { "X_Forwarded_For",   "x-forwarded_proto",   "X_FORWARDED_PREFIX",
                                 "X_Real-IP",         "x_request_id",        "Transfer_Encoding",
                                 "content_length",    "proxy_authorization", "client_cert",
                                 "X_Consumer_Groups", "x_original_url" };
    static const char *no[] = { "X-Forwarded-For", "x_mine", "my_id",     "content_type", "_", "x_",
                                "x_forw_",         "",       "user_agent" };
    CASE("underscores do not make another name");
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        test_result(header_disguised(str_from(yes[i])), __FILE__, __LINE__, "%s", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        test_result(!header_disguised(str_from(no[i])), __FILE__, __LINE__, "%s", no[i]);
    char longest[200];
    memset(longest, '_', sizeof(longest));
    memcpy(longest, "x_forwarded", 11);
    EXPECT(header_disguised((struct str){ longest, sizeof(longest) }));
}

static void validity(void)
{
    CASE("a name is a token");
    EXPECT(header_name_valid(STR("X-Y_z.1!#$%&'*+^`|~")));
    static const char not_token[] = " \t\r\n\"(),/:;<=>?@[\\]{}\x7f\x80\xff";
    for (size_t i = 0; i < sizeof(not_token); i++) /* with the NUL */
        EXPECT(!header_name_valid((struct str){ not_token + i, 1 }));
    EXPECT(!header_name_valid(STR("")));
    CASE("a value has no control bytes but HTAB, wherever they stand");
    char value[40];
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof(value); at += 13) {
            memset(value, 'v', sizeof(value));
            value[at] = (char)c;
            bool want = c == '\t' || (c >= 0x20 && c != 0x7f);
            EXPECT(header_value_valid((struct str){ value, sizeof(value) }) == want);
        }
    }
    EXPECT(header_value_valid(STR("")));
    EXPECT(header_value_valid((struct str){ NULL, 0 }));
}

static void lookup(void)
{
    struct header v[3];
    struct headers h = { v, 0, 3 };
    CASE("add, find, remove");
    EXPECT(headers_add(&h, STR("Accept"), STR("a")));
    EXPECT(headers_add(&h, STR("X-One"), STR("1")));
    EXPECT(headers_add(&h, STR("x-one"), STR("2")));
    EXPECT(!headers_add(&h, STR("x-two"), STR("3")));
    EXPECT_INT(h.n, 3);
    EXPECT_STR(header_value(headers_find(&h, STR("X-ONE"))), STR("1"));
    EXPECT(headers_find_id(&h, HDR_ACCEPT) == &v[0]);
    EXPECT(headers_find_id(&h, HDR_HOST) == NULL);
    v[1].flags = HDR_F_HOP;
    EXPECT_STR(header_value(headers_find(&h, STR("x-one"))), STR("2"));
    EXPECT_INT(headers_remove(&h, STR("X-one")), 1);
    EXPECT(headers_find(&h, STR("x-one")) == NULL);
    EXPECT_INT(headers_remove(&h, STR("accept")), 1);
    EXPECT_INT(headers_remove(&h, STR("accept")), 0);
    EXPECT(headers_find_id(&h, HDR_ACCEPT) == NULL);
    CASE("a name too long for its field is refused");
    static char longer[UINT16_MAX + 1];
    h.n = 0;
    EXPECT(!headers_add(&h, (struct str){ longer, sizeof(longer) }, STR("")));
}

static void lines(void)
{
    struct header v[2];
    struct headers h = { v, 0, 2 };
    char at[64];
    CASE("a field made a line stands as it is written");
    EXPECT(headers_add_line(&h, HDR_VIA, STR("1.1 weir"), at));
    EXPECT_INT(header_line_n(HDR_VIA, STR("1.1 weir")), 15);
    EXPECT_STR(((struct str){ at, 15 }), STR("via: 1.1 weir\r\n"));
    EXPECT(v[0].name == at && v[0].flags == (HDR_F_CHECKED | HDR_F_LINE));
    EXPECT_STR(header_value(&v[0]), STR("1.1 weir"));
    EXPECT(headers_find_id(&h, HDR_VIA) == &v[0]);
    CASE("no memory or no room: not added");
    EXPECT(!headers_add_line(&h, HDR_VIA, STR("x"), NULL));
    EXPECT(headers_add_line(&h, HDR_TE, STR(""), at));
    EXPECT(!headers_add_line(&h, HDR_VIA, STR("x"), at));
    EXPECT_INT(h.n, 2);
}

static void lists(void)
{
    static const struct {
        const char *list, *token;
        bool want;
    } rows[] = {
        { "close", "close", true },
        { "Keep-Alive, CLOSE", "close", true },
        { " ,, close\t, x", "close", true },
        { "closed", "close", false },
        { "close d", "close", false },
        { "x,close", "x", true },
        { "", "close", false },
        { ",", "", false },
    };
    CASE("members of comma-separated lists");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        EXPECT(header_list_has(str_from(rows[i].list), str_from(rows[i].token)) == rows[i].want);
    EXPECT(!header_list_has((struct str){ NULL, 0 }, STR("x")));
}

void unit_header(void);
void unit_header(void)
{
    ids();
    disguises();
    validity();
    lookup();
    lines();
    lists();
}
