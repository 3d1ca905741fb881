# make            release binary ./weir           make VARIANT=debug|asan|tsan|fuzz   other builds
# make demo       set up, build, show it working   make test   every gate and test
VARIANT ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
B       := build/$(VARIANT)
PKGS    := openssl libnghttp2 libpcre2-8 yaml-0.1

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -flto=auto
CFLAGS_debug   := -Og -g3 -DWEIR_DEBUG
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -DWEIR_DEBUG
CFLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DWEIR_DEBUG
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -DWEIR_DEBUG
ifeq ($(VARIANT),fuzz)
CC := clang
endif
ifeq ($(CI),true)
WERROR_release := -Werror
endif
CFLAGS  := -std=gnu17 -pthread -MMD -MP -Isrc -I$(B) $(WARN) $(WERROR_$(VARIANT)) $(HARDEN) $(CFLAGS_$(VARIANT)) $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(EXTRA_CFLAGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(filter -O% -flto% -fsanitize%,$(subst fuzzer-no-link,,$(CFLAGS_$(VARIANT))))
LDLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -pthread

SRC     := $(sort $(shell find src -name '*.c'))
OBJ     := $(SRC:%.c=$(B)/%.o)
LIBOBJ  := $(filter-out $(B)/src/cli/main.o,$(OBJ))
UNIT    := $(sort $(wildcard tests/unit/*.c))
UNITOBJ := $(UNIT:%.c=$(B)/%.o)
FUZZ    := $(patsubst fuzz/%.c,$(B)/fuzz/%,$(sort $(wildcard fuzz/*.c)))
FUZZOBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard fuzz/support/*.c)))

all: $(B)/weir
	@[ $(VARIANT) != release ] || ln -sf $(B)/weir weir

# A folder is a registry: the listing of these folders becomes X(name) lines that cli/tables.c includes.
define registry
$(B)/$(1).gen.h: FORCE
	@mkdir -p $$(@D); printf 'X(%s)\n' $(sort $(notdir $(basename $(wildcard $(2))))) | cmp -s - $$@ || printf 'X(%s)\n' $(sort $(notdir $(basename $(wildcard $(2))))) > $$@
GEN += $(B)/$(1).gen.h
endef
$(eval $(call registry,filters,src/filters/*.c))
$(eval $(call registry,lb,$(filter-out src/lb/lb.c,$(wildcard src/lb/*.c))))
$(eval $(call registry,kinds,src/model/kinds/*.c))
$(eval $(call registry,commands,src/cli/cmd_*.c))
$(eval $(call registry,unit,tests/unit/*.c))

$(B)/weir: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/unit: $(LIBOBJ) $(UNITOBJ) $(B)/tests/harness/harness.o
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/libfuzzed.a: $(LIBOBJ) $(FUZZOBJ)
	rm -f $@; ar rcsT $@ $^
$(B)/fuzz/%: $(B)/fuzz/%.o $(B)/libfuzzed.a
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
$(B)/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

test demo setup bench bench-exact conformance fuzz-smoke golden docs fmt test-asan test-tsan install: FORCE
	@tools/$@.sh
clean:
	rm -rf build weir
FORCE:
.PHONY: all clean FORCE
.SECONDARY:
-include $(OBJ:.o=.d) $(UNITOBJ:.o=.d) $(B)/tests/harness/harness.d $(FUZZ:=.d) $(FUZZOBJ:.o=.d)
