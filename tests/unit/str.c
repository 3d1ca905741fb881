/* Numbers with units: what is taken, what is not. */
#include "../harness/harness.h"

static struct str zeros(char *out, size_t places, const char *unit)
{
    memcpy(out, "0.", 2);
    memset(out + 2, '0', places);
    memcpy(out + 2 + places, unit, strlen(unit));
    return (struct str){ out, 2 + places + strlen(unit) };
}

void unit_str(void);
void unit_str(void)
{
    struct dur d;
    struct bytes b;
    struct ratio r;
    char text[256];

    CASE("values that are exact in the smallest unit are taken");
    EXPECT(str_to_dur(STR("1.5s"), &d) && d.ns == 1500 * NS_PER_MS);
    EXPECT(str_to_dur(STR("0.000000001s"), &d) && d.ns == 1);
    EXPECT(str_to_bytes(STR("0.5KiB"), &b) && b.n == 512);
    EXPECT(str_to_ratio(STR("0.0001%"), &r) && r.ppm == 1);
    EXPECT(str_to_dur(zeros(text, 18, "s"), &d) && d.ns == 0);

    CASE("more places than any unit has are refused, however many");
    EXPECT(!str_to_dur(STR("0.0000000001s"), &d));
    for (size_t places = 19; places < 200; places++) {
        EXPECT(!str_to_dur(zeros(text, places, "s"), &d));
        EXPECT(!str_to_bytes(zeros(text, places, "KiB"), &b));
        EXPECT(!str_to_ratio(zeros(text, places, "%"), &r));
    }

    CASE("what does not fit is refused");
    EXPECT(str_to_dur(STR("106751d"), &d));
    EXPECT(!str_to_dur(STR("106752d"), &d));
    EXPECT(!str_to_ratio(STR("100.0001%"), &r));
    EXPECT(!str_to_dur(STR("1"), &d));
    EXPECT(!str_to_dur(STR("1.s"), &d));
    EXPECT(!str_to_dur(STR("-1s"), &d));
}
