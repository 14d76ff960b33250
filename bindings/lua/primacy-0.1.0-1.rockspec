rockspec_format = "3.0"
package = "primacy"
version = "0.1.0-1"
-- For `luarocks make` in this folder, with libprimacy and primacy.h installed: luarocks make PRIMACY_DIR=/usr/local
source = { url = "." }
description = {
    summary = "MySQL and MariaDB failover inside a Lua host: HAProxy, MySQL Proxy, scripts",
    detailed = "Node health probes, a pool state machine with numbered rules, and the answer to \"which node takes the writes now?\"",
    license = "MIT OR Apache-2.0",
}
dependencies = { "lua >= 5.1, < 5.5" }
external_dependencies = {
    PRIMACY = { header = "primacy.h", library = "primacy" },
}
build = {
    type = "builtin",
    modules = {
        primacy = {
            sources = {
                "arguments.c", "commands.c", "config.c", "events.c", "instance.c", "observation.c", "primacy.c", "selector.c",
                "snapshot.c", "vip.c", "words.c",
            },
            defines = { "_POSIX_C_SOURCE=200809L" },
            libraries = { "primacy" },
            incdirs = { "$(PRIMACY_INCDIR)" },
            libdirs = { "$(PRIMACY_LIBDIR)" },
        },
    },
}
