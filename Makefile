# make                 libraries, command and C examples
# make install         copies what is built: PREFIX= DESTDIR= LIBDIR= MANDIR= UNITDIR=
# make python          .venv with the Python package
# make lua             the Lua module, for each Lua whose headers are there
# make test            everything; make test-rust, test-c, test-python, test-lua, test-real for parts
# make header          include/primacy.h from src/ffi, and what hangs on it
# make abi-baseline    abi/libprimacy.abi anew, after a deliberate change of the contract
# make demo            a real failover before your eyes
# make demo-tier       an address that moves between three hosts with MySQL Router, as root
# make bench           fail-over times and the cost of a probe, measured
# make soak            what must not fail over and what must, PRIMACY_RUNS=50 times each: hours
# make tsan            selections in eight threads under ThreadSanitizer
# make fuzz            every parser and the engine under libFuzzer, FUZZ_SECONDS=600 for each of the targets
# make deps            installs Debian packages that tests and demo need (as root; else prints the line)
#
# After `cargo vendor` build with CARGO_FLAGS="--locked --offline".

CARGO       ?= cargo
CARGO_FLAGS ?= --locked
CC          ?= cc
CXX         ?= c++
LD          ?= ld
OBJCOPY     ?= objcopy
PYTHON      ?= python3
PREFIX      ?= /usr/local
LIBDIR      ?= $(PREFIX)/lib
MANDIR      ?= $(PREFIX)/share/man
UNITDIR     ?= $(PREFIX)/lib/systemd/system
DESTDIR     ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME  := libprimacy.so.0
DIST    := target/dist
SHARED  := $(DIST)/libprimacy.so.$(VERSION)
LINKS   := $(DIST)/$(SONAME) $(DIST)/libprimacy.so
STATIC  := $(DIST)/libprimacy.a
COMMAND := $(DIST)/primacy
GENERATED := $(DIST)/share/.complete
EXAMPLES := $(patsubst examples/c/%.c,target/examples/c/%,$(wildcard examples/c/*.c))

SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')

# What a program that links libprimacy.a needs besides.
SYSLIBS := -lgcc_s -lpthread -lm -ldl -lc
HARDEN  := -Wl,-z,nodelete -Wl,-z,defs -Wl,-z,relro -Wl,-z,now
C99     := -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -g -Iinclude

all: $(SHARED) $(LINKS) $(STATIC) $(COMMAND) $(GENERATED) $(EXAMPLES)

# cargo leaves a file alone that would not change, so its time is set for make.
target/release/libprimacy.a: $(SOURCES)
	$(CARGO) build $(CARGO_FLAGS) --release --lib
	@touch $@

# By --bin alone cargo leaves the archive beside it as it is, without the command's features.
target/release/primacy: $(SOURCES) | target/release/libprimacy.a
	$(CARGO) build $(CARGO_FLAGS) --release --features cli --bin primacy
	@touch $@

$(COMMAND): target/release/primacy | $(DIST)
	cp $< $@

# Man pages and completions, by the command itself.
$(GENERATED): $(COMMAND) docs/configuration.md
	rm -rf $(@D)
	mkdir -p $(@D)/completions
	$(COMMAND) generate man $(@D)/man
	for shell in bash zsh fish; do $(COMMAND) generate completions $$shell > $(@D)/completions/$$shell || exit 1; done
	touch $@

$(DIST) target/examples/c target/c:
	mkdir -p $@

# Symbol versions do not survive cargo's own link, so the shared object is a relink of the static archive.
relink = $(CC) -shared -o $(2) -Wl,--whole-archive $(1) -Wl,--no-whole-archive -Wl,--gc-sections \
	-Wl,--version-script=primacy.map -Wl,-soname,$(SONAME) $(HARDEN) $(SYSLIBS)

$(SHARED): target/release/libprimacy.a primacy.map | $(DIST)
	$(call relink,$<,$@.new) -Wl,--strip-debug
	mv $@.new $@

$(LINKS): $(SHARED)
	ln -sf libprimacy.so.$(VERSION) $@
	@touch -h $@

# One relocatable object with nothing global but the contract: two such archives link together. The bitcode that std's objects
# carry for LTO makes no sense once they are joined.
$(STATIC): target/release/libprimacy.a | $(DIST)
	rm -f $@
	$(LD) -r --whole-archive $< -o target/release/primacy-all.o
	$(OBJCOPY) --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd --wildcard --keep-global-symbol='primacy_*' target/release/primacy-all.o $(DIST)/primacy.o
	$(AR) crs $@ $(DIST)/primacy.o
	rm -f target/release/primacy-all.o $(DIST)/primacy.o

# Examples find the library beside the build; a program of your own uses `pkg-config --cflags --libs primacy`.
target/examples/c/%: examples/c/%.c include/primacy.h $(SHARED) $(LINKS) | target/examples/c
	$(CC) $(C99) $< -o $@ -L$(DIST) -lprimacy -Wl,-rpath,'$$ORIGIN/../../dist'

install:
	@for file in $(SHARED) $(STATIC) $(COMMAND) $(GENERATED); do \
		[ -e $$file ] || { echo "install: $$file is not built; run make first" >&2; exit 1; }; done
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/
	ln -sf libprimacy.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libprimacy.so
	install -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/
	install -m 644 include/primacy.h $(DESTDIR)$(PREFIX)/include/
	install -m 755 $(COMMAND) $(DESTDIR)$(PREFIX)/bin/
	ln -sf primacy $(DESTDIR)$(PREFIX)/bin/is_server_up
	ln -sf primacy $(DESTDIR)$(PREFIX)/bin/server_is_active
	install -d $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 $(DIST)/share/man/*.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 644 $(DIST)/share/man/*.5 $(DESTDIR)$(MANDIR)/man5/
	install -m 644 $(DIST)/share/completions/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/primacy
	install -m 644 $(DIST)/share/completions/zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_primacy
	install -m 644 $(DIST)/share/completions/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/primacy.fish
	install -d $(DESTDIR)$(PREFIX)/share/primacy/mysql-proxy/primacy_proxy
	install -m 644 bindings/lua/mysql-proxy/*.lua $(DESTDIR)$(PREFIX)/share/primacy/mysql-proxy/
	install -m 644 bindings/lua/mysql-proxy/primacy_proxy/*.lua $(DESTDIR)$(PREFIX)/share/primacy/mysql-proxy/primacy_proxy/
	for module in $(wildcard $(patsubst %,target/lua/%/primacy.so,$(filter-out jit,$(LUA_VERSIONS)))); do \
		install -D -m 755 $$module $(DESTDIR)$(LIBDIR)/lua/$$(basename $$(dirname $$module))/primacy.so || exit 1; done
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/lib/sysusers.d
	sed -e 's|@PREFIX@|$(PREFIX)|' packaging/systemd/primacy.service > $(DESTDIR)$(UNITDIR)/primacy.service
	chmod 644 $(DESTDIR)$(UNITDIR)/primacy.service
	install -m 644 packaging/systemd/vip.conf $(DESTDIR)$(PREFIX)/share/primacy/vip.conf
	install -d $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/primacy
	sed -e 's|@PREFIX@|$(PREFIX)|' packaging/ocf/primacy > $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/primacy/primacy
	chmod 755 $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/primacy/primacy
	install -m 644 packaging/systemd/primacy.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/primacy.conf
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' primacy.pc.in \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/primacy.pc

# The package needs nothing at run time and its wheel is built by the script beside it, so no network either.
python: .venv/primacy-installed
.venv/primacy-installed: $(SHARED) $(wildcard bindings/python/*.* bindings/python/primacy/*)
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv || $(PYTHON) -m venv --without-pip .venv
	.venv/bin/python bindings/python/build_backend.py install --library $(SHARED)
	@touch $@

# One object for each Lua whose headers are there; it finds the library in its own tree, and where `make install` puts both.
# LuaJIT loads the one for 5.1 too; its own is built to hold the source against its headers.
LUA_VERSIONS := 5.1 5.3 5.4 jit
lua_headers   = $(firstword $(wildcard $(if $(filter jit,$(1)),/usr/include/luajit-2.1 /usr/local/include/luajit-2.1,\
	/usr/include/lua$(1) /usr/local/include/lua$(1))))
LUA_MODULES  := $(foreach v,$(LUA_VERSIONS),$(if $(call lua_headers,$(v)),target/lua/$(v)/primacy.so))
LUA_FLAGS    := -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	-Werror -O2 -g -fPIC -fvisibility=hidden -Iinclude

lua: $(LUA_MODULES)
	@[ -n "$(LUA_MODULES)" ] || { echo "lua: no headers of Lua in /usr/include; make deps names the packages" >&2; exit 1; }

target/lua/%/primacy.so: $(wildcard bindings/lua/*.c bindings/lua/*.h) include/primacy.h $(SHARED) $(LINKS)
	@mkdir -p $(@D)
	$(CC) $(LUA_FLAGS) -isystem $(call lua_headers,$*) -shared bindings/lua/*.c -o $@ -L$(DIST) -lprimacy \
		-Wl,-rpath,'$$ORIGIN/../..:$$ORIGIN/../../dist' -Wl,-z,relro -Wl,-z,now

deps:
	sh tests/tools/deps.sh

header:
	PRIMACY_WRITE_HEADER=1 $(CARGO) test $(CARGO_FLAGS) --test header
	$(PYTHON) bindings/python/generate.py include/primacy.h > bindings/python/primacy/_abi.py.new
	mv bindings/python/primacy/_abi.py.new bindings/python/primacy/_abi.py
	$(PYTHON) bindings/lua/generate.py include/primacy.h > bindings/lua/words.h.new
	mv bindings/lua/words.h.new bindings/lua/words.h

# The build for tests: doors for planted panics, freed handles kept, whole debug information (abidiff misses changes
# of structures below that).
target/testing/debug/libprimacy.a: $(SOURCES)
	$(CARGO) build $(CARGO_FLAGS) --lib --features testing --target-dir target/testing
	@touch $@

target/testing/libprimacy.so.0: target/testing/debug/libprimacy.a primacy.map
	$(call relink,$<,$@.new)
	mv $@.new $@

abi-baseline: target/testing/libprimacy.so.0
	abidw --no-corpus-path --no-comp-dir-path --no-show-locs $< --out-file target/testing/whole.abi
	$(PYTHON) tests/tools/prune-abi.py < target/testing/whole.abi > abi/libprimacy.abi

# Everything, with the sum of all runners in the last line.
test:
	@tests/tools/run all

test-rust test-c test-python test-lua test-real:
	@tests/tools/run $(@:test-%=%)

# Two real servers, one killed, the other taking over: the table live, then what happened when, and the picture.
# PRIMACY_DEMO_SERVER=mysql does it on MySQL 9.7.
demo: deps
	@$(MAKE) --no-print-directory python
	@.venv/bin/python -c "import pymysql" 2>/dev/null || .venv/bin/python -m pip install --quiet -r tests/requirements.txt
	.venv/bin/python examples/demo/demo.py

# Three hosts with MySQL Router and an agent, three with MySQL, and a client, each in a network namespace; then the picture.
demo-tier: deps
	@$(MAKE) --no-print-directory $(COMMAND) python
	@tests/tools/mysql97.sh > /dev/null
	@.venv/bin/python -c "import pymysql" 2>/dev/null || .venv/bin/python -m pip install --quiet -r tests/requirements.txt
	PRIMACY_COMMAND=$(CURDIR)/$(COMMAND) .venv/bin/python examples/demo-tier/demo.py

# Fail-over times and the cost of a probe, as tables here and in target/bench; settings: see the script.
bench: deps
	@$(MAKE) --no-print-directory $(SHARED) $(LINKS) $(COMMAND) python
	@.venv/bin/python -c "import pymysql" 2>/dev/null || .venv/bin/python -m pip install --quiet -r tests/requirements.txt
	@benches/run.sh

# Every fuzz target under libFuzzer, FUZZ_SECONDS each; FUZZ_TARGETS names some of them. What is found goes to
# target/fuzz/TARGET, what fails to target/fuzz/TARGET-crash-*. Coverage by flags that the stable compiler takes;
# --target keeps them from build scripts.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= $(notdir $(wildcard fuzz/corpus/*))
FUZZ_HOST    = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS   = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares

fuzz:
	cd fuzz && RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --release --target $(FUZZ_HOST)
	@for target in $(FUZZ_TARGETS); do \
		echo "== $$target"; mkdir -p target/fuzz/$$target; \
		PRIMACY_FUZZ_TARGET=$$target fuzz/target/$(FUZZ_HOST)/release/primacy-fuzz -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -rss_limit_mb=2048 -max_len=8192 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=target/fuzz/$$target- target/fuzz/$$target fuzz/corpus/$$target || exit 1; done

# What must not fail over and what must, on real servers, PRIMACY_RUNS times each and what lasts minutes PRIMACY_LONG_RUNS
# times; the budget must hold to the millisecond. The figures go to target/soak.txt. It takes hours.
SOAK_TESTS ?= tests/real/test_no_failover.py tests/real/test_host.py tests/real/test_budget.py tests/real/test_hogs.py tests/real/test_tier_hogs.py

soak: deps python
	@tests/tools/mysql97.sh > /dev/null
	@.venv/bin/python -c "import pymysql, pytest" 2>/dev/null || .venv/bin/python -m pip install --quiet -r tests/requirements.txt
	PRIMACY_RUNS=$${PRIMACY_RUNS:-50} PRIMACY_LONG_RUNS=$${PRIMACY_LONG_RUNS:-5} PRIMACY_SOAK=target/soak.txt PRIMACY_TIER_HOG_SECONDS=$${PRIMACY_TIER_HOG_SECONDS:-600} \
		.venv/bin/python -m pytest -q $(SOAK_TESTS)

# Selections in eight threads under ThreadSanitizer: library and host are built for it, by a flag of the stable compiler that wants
# RUSTC_BOOTSTRAP. helgrind and drd know neither atomics nor parking_lot's locks, so they would name every publication a race.
tsan:
	tests/c/tsan

.PHONY: tsan all install python deps header abi-baseline lua test test-rust test-c test-python test-lua test-real demo demo-tier bench soak fuzz
.DELETE_ON_ERROR:
