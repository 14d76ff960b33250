-- The Lua module; the same file for Lua 5.1, LuaJIT, 5.3 and 5.4. Prints "ok NAME" and "not ok NAME" lines.
--
--     lua test_module.lua FOLDER [NAME]        FOLDER: an empty one for caches; NAME: this test alone

local primacy = require "primacy"
local E = primacy.E
local folder, only = arg[1], arg[2]
local A, B = "10.0.1.11:3306", "10.0.1.12:3306"
local failures, files = 0, 0

local function test(name, body)
    if only and only ~= name then return end
    primacy.allow_blocking(true)
    local done, why = xpcall(body, debug.traceback)
    if done then
        print("ok " .. name)
    else
        failures = failures + 1
        print("# " .. tostring(why):gsub("\n", "\n# "))
        print("not ok " .. name)
    end
end

local function show(value)
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function equal(got, wanted, what)
    if got ~= wanted then error((what or "value") .. " is " .. show(got) .. ", not " .. show(wanted), 2) end
end

local function says(text, word)
    if type(text) ~= "string" or not text:find(word, 1, true) then error(show(text) .. " does not say " .. show(word), 2) end
end

-- nil, a text with the word, the code.
local function fails(code, word, got, text, number)
    if got ~= nil then error("it gave " .. show(got), 2) end
    if number ~= code then error("the code is " .. show(number) .. " (" .. show(text) .. "), not " .. show(code), 2) end
    says(text, word)
end

-- An error of Lua with the word.
local function raises(word, call, ...)
    local done, why = pcall(call, ...)
    if done then error("no error was raised", 2) end
    says(tostring(why), word)
end

local function digits(value)
    if type(value) ~= "string" or not value:match("^%d+$") then error(show(value) .. " is no string of digits", 2) end
end

local function cache()
    files = files + 1
    return folder .. "/cache" .. files
end

local function external(set)
    local config = assert(primacy.config { pools = { "name:orders;primary:" .. A .. ";secondary:" .. B } })
    assert(config:set("pool.orders.policy", "mpp"))
    assert(config:set("pool.orders.probe", "external"))
    for key, value in pairs(set or {}) do assert(config:set(key, value)) end
    return config
end

-- Two ports of this host where nothing listens.
local function probing(set)
    local config = assert(primacy.config {
        text = "[probe]\nuser = 'nobody'\ninterval = '50ms'\ntimeout = '50ms'\n",
        pools = { "name:orders;primary:127.0.0.1:1;secondary:127.0.0.1:2" },
    })
    for key, value in pairs(set or {}) do assert(config:set(key, value)) end
    return config
end

local function cycle(p, a, b, status)
    assert(p:observe("orders", A, a or "ok", { message = "a is " .. (a or "ok") }))
    assert(p:observe("orders", B, b or "ok"))
    assert(p:cycle("orders", status))
end

-- An instance whose PRIMARY is ACTIVE.
local function ready(set)
    local p = assert(primacy.new(external(set)))
    for _ = 1, 3 do cycle(p) end
    equal(p:active "orders", A)
    return p
end

local function node(p, address)
    return assert(p:snapshot()).pool.orders.node[address]
end

-- How many descriptors this process has open.
local function descriptors()
    local stat = assert(io.open "/proc/self/stat")
    local pid = stat:read "*l":match "^%d+"
    stat:close()
    local list = assert(io.popen("ls /proc/" .. pid .. "/fd | wc -l"))
    local count = tonumber((list:read "*l"))
    list:close()
    return count
end

local function collect()
    for _ = 1, 3 do collectgarbage() end
end

test("the module is loaded once", function()
    equal(package.loaded.primacy, primacy)
    package.loaded.primacy = nil
    local again = require "primacy"
    -- A second table with the same types: objects of one work with the other's functions.
    local p = assert(again.new(external()))
    cycle(p)
    assert(primacy.new(external())):close()
    p:close()
    package.loaded.primacy = primacy
end)

test("versions and constants", function()
    local version, contract = primacy.version()
    says(version, ".")
    equal(primacy._VERSION, version)
    assert(contract >= 1)
    equal(E.INVALID, -1)
    equal(E.REFUSED, -8)
    equal(E.CONFIG_DIFFERS, -20)
    equal(E.OK, 0)
    equal(E.WOULD_BLOCK, 1)
    equal(primacy.enum.cause.refused, 1)
    equal(primacy.enum.state.FAILED_OFFLINE, 4)
    equal(primacy.enum.thread_state.running, 2)
    equal(primacy.enum.report_outcome.connect_failed, 1)
    for name, words in pairs(primacy.enum) do
        for word, number in pairs(words) do
            assert(type(word) == "string" and not tonumber(word) and word ~= "?", name .. " has the word " .. show(word))
            assert(number == math.floor(number))
        end
    end
    equal(primacy.cause_class "refused", "gone")
    fails(E.NOT_FOUND, "sulking", primacy.cause_class "sulking")
    says(primacy.rule_text(203), "the server does not run")
    fails(E.NOT_FOUND, "99999", primacy.rule_text(99999))
    fails(E.NOT_FOUND, "-1", primacy.rule_text(-1))
    fails(E.NOT_FOUND, "nan", primacy.rule_text(0 / 0))
end)

test("configurations", function()
    local config = assert(primacy.config())
    equal(config:add_pool("name:orders;primary:" .. A), config)
    equal(config:set("probe.interval", "100ms"):set("pool.orders.levels", 7), config)
    fails(E.CONFIG, "here.toml:2:1", config:load_text("[probe]\nnonsense = 1\n", "here.toml"))
    fails(E.CONFIG, "text:1:", config:load_text "[[[")
    fails(E.CONFIG, "no.such.key", config:set("no.such.key", true))
    fails(E.CONFIG, "nothing", config:add_pool "nothing")
    fails(E.IO, "/nowhere/at.all", config:load_file "/nowhere/at.all")
    fails(E.IO, "/nowhere/at.all", primacy.config "/nowhere/at.all")
    fails(E.IO, "/nowhere/at.all", primacy.new "/nowhere/at.all")
    fails(E.IO, "/nowhere/at.all", primacy.open { file = "/nowhere/at.all" })
    fails(E.CONFIG, "no pool", primacy.new(primacy.config()))

    local path = folder .. "/primacy.toml"
    local file = assert(io.open(path, "w"))
    file:write("[pool.orders]\nprobe = 'external'\nnodes = [{ address = '", A, "' }, { address = '", B, "' }]\n")
    file:close()
    local p = assert(primacy.new { file = path, text = "[probe]\nuser = 'x'\n", set = { ["pool.orders.policy"] = "mpp", ["pool.orders.levels"] = 7 } })
    equal(#assert(p:snapshot()).pools[1].nodes, 2)
    p:close()
    p = assert(primacy.new(path))
    equal(p:active "orders", nil)
    p:close()

    fails(E.INVALID, "there is no option 'tetx'", primacy.config { tetx = "" })
    raises("must be a string", primacy.config, { file = 3 })
    raises("table expected", primacy.config, { set = 3 })
    raises("must be a string, number or boolean", primacy.config, { set = { a = {} } })
    raises("string expected", config.set, config, 3, "x")
    raises("path or a table", primacy.config, 3)
    raises("primacy.config", primacy.new, 3)
    raises("primacy.config", primacy.open)

    equal(config:close(), true)
    equal(config:close(), true)
    fails(E.HANDLE, "was closed", config:set("a", "b"))
    fails(E.HANDLE, "was closed", config:load_text "")
    fails(E.HANDLE, "was closed", config:load_file "x")
    fails(E.HANDLE, "was closed", config:add_pool "x")
    fails(E.HANDLE, "was closed", primacy.new(config))
end)

test("texts with a NUL", function()
    local config = external()
    fails(E.INVALID, "`key` has a NUL at byte 2", config:set("a\0b", "c"))
    fails(E.INVALID, "`value` has a NUL", config:set("a", "c\0"))
    fails(E.INVALID, "`spec` has a NUL", config:add_pool "name:a\0")
    fails(E.INVALID, "`path` has a NUL", config:load_file "\0")
    fails(E.CONFIG, "text:1:", config:load_text "a\0b")
    fails(E.INVALID, "`name` has a NUL", config:load_text("", "a\0"))
    fails(E.INVALID, "NUL", primacy.new "/etc/\0")
    local p = ready()
    fails(E.INVALID, "`pool` has a NUL", p:active "orders\0x")
    fails(E.INVALID, "`node` has a NUL", p:observe("orders", A .. "\0", "ok"))
    fails(E.INVALID, "`message` has a NUL", p:observe("orders", A, "ok", { message = "\0" }))
    fails(E.INVALID, "`reason` has a NUL", p:freeze("orders", { reason = "a\0" }))
    fails(E.INVALID, "cause", p:observe("orders", A, "ok\0"))
    fails(E.INVALID, "UTF-8", p:active "\255")
    p:close()
end)

test("a failover", function()
    local p = assert(primacy.new(external()))
    local first = node(p, A)
    equal(first.count, nil)
    equal(first.cause, nil)
    equal(first.state, "UNKNOWN")
    equal(p:active "orders", nil)
    equal(select("#", p:active "orders"), 1)
    for _ = 1, 3 do cycle(p) end
    local before = p:snapshot().pool.orders
    equal(before.active.name, A)
    equal(before.active, before.nodes[1])
    equal(before.active, before.node[A])
    digits(before.epoch)
    for _ = 1, 4 do cycle(p, "refused") end
    equal(p:active "orders", B)
    local all = p:snapshot()
    assert(all.wall_ms > 1600000000000)
    equal(#all.pools, 1)
    local orders = all.pool.orders
    equal(orders, all.pools[1])
    equal(orders.name, "orders")
    equal(orders.kind, "ring")
    equal(orders.policy, "mpp")
    equal(orders.status, "OK")
    equal(orders.paused, false)
    equal(orders.frozen, nil)
    assert(#orders.epoch > #before.epoch or orders.epoch > before.epoch)
    local failed = orders.nodes[1]
    equal(failed.type, "PRIMARY")
    equal(failed.state, "FAILED_OFFLINE")
    equal(failed.status, "FAIL")
    equal(failed.count, "4")
    equal(failed.cause, "refused")
    equal(failed.weight, 1)
    equal(failed.site, "")
    equal(failed.override, nil)
    says(failed.message, "a is refused")
    assert(failed.rule > 0 and primacy.rule_text(failed.rule))
    assert(failed.observed_ms > 1600000000000 and failed.changed_ms > 1600000000000)
    says(p:json(), '"FAILED_OFFLINE"')
    says(p:explain "orders", B)
    says(p:budget "orders", "gone")
    says(p:budget_json "orders", '"connections_per_node"')
    says(p:metrics(), "# TYPE primacy_")
    says(tostring(p), "primacy.instance (")
    fails(E.NOT_FOUND, "nothing", p:explain "nothing")
    fails(E.NOT_FOUND, "nothing", p:budget "nothing")
    fails(E.NOT_FOUND, "nothing", p:budget_json "nothing")
    fails(E.NOT_FOUND, "nothing", p:active "nothing")
    p:close()
end)

test("facts go in and come out", function()
    local p = assert(primacy.new(external()))
    local channel = {
        name = "west", source = "10.0.1.12:3306", io = "connecting", sql = "stopped", io_error = 2003, sql_error = 1062,
        error = "no way", lag = 1.5, applied_all = false,
    }
    assert(p:observe("orders", "10.0.1.11", "replication_stopped", {
        message = "it stands", error_number = 2003, flavour = "MySQL", version = "8.0.36-log", server_id = 4294967295,
        server_uuid = "11111111-2222-3333-4444-555555555555", gtids = "11111111-2222-3333-4444-555555555555:1-99",
        read_only = true, super_read_only = false, threads_connected = 7, max_connections = 151, round_trip = 0.00025,
        channels = { channel, {} },
    }))
    assert(p:observe("orders", B, "ok", { version = 101106, channels = {} }))
    assert(p:cycle "orders")
    local seen = node(p, A)
    equal(seen.cause, "replication_stopped")
    equal(seen.error_number, 2003)
    equal(seen.flavour, "mysql")
    equal(seen.version, 80036)
    equal(seen.server_id, 4294967295)
    equal(seen.server_uuid, "11111111-2222-3333-4444-555555555555")
    equal(seen.gtids, "11111111-2222-3333-4444-555555555555:1-99")
    equal(seen.read_only, true)
    equal(seen.super_read_only, false)
    equal(seen.threads_connected, 7)
    equal(seen.max_connections, 151)
    equal(seen.round_trip, 0.00025)
    equal(#seen.channels, 2)
    for name, value in pairs(channel) do equal(seen.channels[1][name], value, name) end
    equal(seen.channels[2].io, "running")
    equal(seen.channels[2].lag, nil)
    equal(seen.channels[2].applied_all, nil)
    equal(node(p, B).version, 101106)
    equal(#node(p, B).channels, 0)
    equal(node(p, B).gtids, nil)

    local function bad(word, facts) fails(E.INVALID, word, p:observe("orders", A, "ok", facts)) end
    bad("no option 'versoin'", { versoin = 1 })
    bad("a number for its name", { 1 })
    bad("`version`", { version = "eight" })
    bad("`version`", { version = -1 })
    bad("`server_id`", { server_id = 1.5 })
    bad("`server_id`", { server_id = 2 ^ 32 })
    bad("`server_id`", { server_id = 0 / 0 })
    bad("`round_trip`", { round_trip = -1 })
    bad("`round_trip`", { round_trip = math.huge })
    bad("one of mysql, mariadb", { flavour = "postgres" })
    bad("no option 'oi'", { channels = { { oi = "running" } } })
    bad("`io` is 'walking'", { channels = { { io = "walking" } } })
    bad("GTID set at byte 0", { gtids = "garbage:", flavour = "mysql" })
    bad("GTID set at byte", { gtids = "11111111-2222-3333-4444-555555555555:1-9223372036854775808", flavour = "mysql" })
    bad("FLAVOUR", { gtids = "0-1-1" })
    local many = {}
    for at = 1, 257 do many[at] = {} end
    bad("257", { channels = many })
    fails(E.INVALID, "one of ok, refused", p:observe("orders", A, "fine"))
    fails(E.NOT_FOUND, "10.9.9.9", p:observe("orders", "10.9.9.9", "ok"))
    raises("must be a boolean", p.observe, p, "orders", A, "ok", { read_only = 1 })
    raises("must be a number", p.observe, p, "orders", A, "ok", { server_id = "1" })
    raises("table expected", p.observe, p, "orders", A, "ok", { channels = "none" })
    raises("table expected", p.observe, p, "orders", A, "ok", { channels = { 1 } })
    raises("table expected", p.observe, p, "orders", A, "ok", "fine")
    raises("string expected", p.observe, p, "orders", 3, "ok")
    -- Metamethods do not run: nothing can come between reading a table and using it.
    local spy = setmetatable({}, { __index = function() error "ran" end })
    assert(p:observe("orders", A, "ok", spy))
    p:close()
end)

test("floating addresses", function()
    local config = primacy.config()
    -- An interface that is not there: nothing of this machine is touched.
    assert(config:load_text('[vip.v]\naddresses = "10.0.0.1/8"\ninterface = "nowhere0"\nvrid = 9\n', "vip.toml"))
    local p = assert(primacy.new(config))
    fails(E.STATE, "start it first", p:vip "v")
    assert(p:start())
    local vip = assert(p:vip "v")
    equal(vip.owns, false)
    equal(vip.stage, "absent")
    equal(vip.score, 0)
    equal(vip.score_rule, 703)
    equal(vip["local"], true)
    equal(vip.backend, nil)
    equal(select("#", p:vip_owner "v"), 1)
    equal(p:vip_owner "v", nil)
    fails(E.NOT_FOUND, "w", p:vip "w")
    local json = assert(p:vip_status_json())
    says(json, '"interface":"nowhere0"')
    assert(p:vip_report("v", false, "the proxy hangs"))
    equal(assert(p:vip "v")["local"], false)
    fails(E.NOT_FOUND, "w", p:vip_report("w", true))
    raises("boolean expected", p.vip_report, p, "v", 1)
    fails(E.REFUSED, "no host", p:vip_move("v", "nobody"))
    raises("string expected", p.vip_move, p, "v")
    assert(p:vip_clear "v")
    local host = json:match '"own":"(.-)"'
    assert(p:vip_standby(host))
    says(assert(p:vip_status_json()), '"standby":true')
    assert(p:vip_standby(host, false))
    fails(E.REFUSED, "no host", p:vip_standby "nobody")
    p:close()
end)

test("calls that would block", function()
    primacy.allow_blocking(false)
    local config = external { cache_file = cache() }
    local p = assert(primacy.new(config))
    local function blocked(...) fails(E.WOULD_BLOCK, "would block", ...) end
    blocked(p:observe("orders", A, "ok"))
    blocked(p:cycle "orders")
    blocked(p:run_cycle("orders", 1))
    blocked(p:reload(config))
    blocked(p:recover("orders", A))
    blocked(p:recover_pool "orders")
    blocked(p:activate_primary "orders")
    blocked(p:remove("orders", B))
    blocked(p:override("orders", A, { reason = "x", weight = 0 }))
    blocked(p:clear_override("orders", A))
    blocked(p:freeze("orders", { reason = "x" }))
    blocked(p:unfreeze "orders")
    blocked(p:maintenance("orders", A, { role = "stay", reason = "x" }))
    blocked(p:recover("orders", A, { nowait = false }))
    blocked(p:vip_status_json())
    blocked(p:vip "v")
    blocked(p:vip_owner "v")
    blocked(p:vip_move("v", "h"))
    blocked(p:vip_clear "v")
    blocked(p:vip_standby "h")
    blocked(p:vip_report("v", true))
    local queue = assert(p:events())
    blocked(queue:wait(1))
    equal(queue:wait(0), nil)
    equal(node(p, A).state, "UNKNOWN")
    equal(node(p, A).cause, nil)
    -- What does not wait for the disk.
    says(assert(p:freeze("orders", { reason = "x", nowait = true })), "froze")
    says(assert(p:unfreeze("orders", { nowait = true })), "freeze")
    assert(p:report_node("orders", A, "connected"))
    -- The library writes by itself now.
    assert(p:start())
    assert(p:observe("orders", A, "ok"))
    assert(p:cycle "orders")
    equal(node(p, A).cause, "ok")
    blocked(p:recover("orders", A))
    -- One object, or all of the state.
    local other = assert(primacy.open(config, { blocking = true }))
    assert(other:freeze("orders", { reason = "x" }))
    other:close()
    equal(primacy.allow_blocking(true), false)
    equal(primacy.allow_blocking(true), true)
    assert(p:unfreeze "orders")
    fails(E.INVALID, "no option 'blcking'", primacy.new(config, { blcking = true }))
    raises("must be a boolean", primacy.new, config, { blocking = 1 })
    raises("boolean expected", primacy.allow_blocking)
    queue:close()
    p:close()
end)

test("commands", function()
    local p = ready { cache_file = cache() }
    -- A node that failed, and takes its role back.
    for _ = 1, 4 do cycle(p, "refused") end
    equal(p:active "orders", B)
    says(p:recover("orders", "10.0.1.11"), "recovered")
    for _ = 1, 3 do cycle(p) end
    if p:active "orders" ~= A then says(p:activate_primary "orders", A) end
    cycle(p)
    equal(p:active "orders", A)
    -- The pool as a whole.
    for _ = 1, 20 do cycle(p, "ok", "ok", "FAIL") end
    equal(p:snapshot().pool.orders.status, "FAIL")
    equal(p:active "orders", nil)
    says(p:recover_pool "orders", "recovered")
    for _ = 1, 3 do cycle(p) end
    equal(p:snapshot().pool.orders.status, "OK")
    equal(p:active "orders", A)
    -- Orders above the rules.
    says(p:override("orders", B, { state = "failed_offline", status = "FAIL", weight = 0, reason = "bad disk", limit = 3600 }), B)
    local set = node(p, B).override
    equal(set.reason, "bad disk")
    equal(set.state, "FAILED_OFFLINE")
    equal(set.status, "FAIL")
    equal(set.weight, 0)
    equal(set.type, nil)
    assert(set.until_ms - set.since_ms == 3600000)
    says(p:clear_override("orders", B), B)
    fails(E.REFUSED, "rule", p:clear_override("orders", B))
    equal(node(p, B).override, nil)
    says(p:override("orders", B, { type = "primary", reason = "for good" }), B)
    equal(node(p, B).type, "PRIMARY")
    equal(node(p, B).override.until_ms, nil)
    assert(p:clear_override("orders", B))
    says(p:freeze("orders", { reason = "switch 3", limit = 60 }), "froze")
    local frozen = p:snapshot().pool.orders.frozen
    equal(frozen.reason, "switch 3")
    assert(frozen.until_ms - frozen.since_ms == 60000)
    says(p:unfreeze "orders", "freeze")
    fails(E.REFUSED, "rule", p:unfreeze "orders")
    for _ = 1, 3 do cycle(p) end
    says(p:maintenance("orders", B, { role = "stay", reason = "new disk" }), B)
    equal(node(p, B).override.maintenance, "stay")
    assert(p:clear_override("orders", B))
    says(p:remove("orders", B), B)
    equal(#p:snapshot().pools[1].nodes, 1)

    fails(E.INVALID, "`role` is missing", p:maintenance("orders", A, { reason = "x" }))
    fails(E.INVALID, "one of move, stay", p:maintenance("orders", A, { role = "go", reason = "x" }))
    fails(E.INVALID, "reason", p:freeze("orders", {}))
    fails(E.INVALID, "reason", p:freeze("orders", { reason = "" }))
    fails(E.INVALID, "reason", p:freeze("orders", { reason = ("x"):rep(1001) }))
    fails(E.INVALID, "control", p:freeze("orders", { reason = "a\nb" }))
    fails(E.INVALID, "limit", p:freeze("orders", { reason = "x", limit = 0 }))
    fails(E.INVALID, "limit", p:freeze("orders", { reason = "x", limit = -5 }))
    fails(E.INVALID, "limit", p:freeze("orders", { reason = "x", limit = 0.5 }))
    fails(E.INVALID, "limit", p:freeze("orders", { reason = "x", limit = 1e300 }))
    fails(E.INVALID, "limit", p:freeze("orders", { reason = "x", limit = 0 / 0 }))
    fails(E.INVALID, "no option 'why'", p:freeze("orders", { why = "x" }))
    fails(E.INVALID, "no option 'wait'", p:recover("orders", A, { wait = false }))
    fails(E.INVALID, "set", p:override("orders", A, { reason = "nothing set" }))
    fails(E.INVALID, "one of UNKNOWN, STANDBY", p:override("orders", A, { reason = "x", state = "GONE" }))
    fails(E.INVALID, "`weight`", p:override("orders", A, { reason = "x", weight = -1 }))
    fails(E.NOT_FOUND, "10.9.9.9", p:recover("orders", "10.9.9.9"))
    fails(E.NOT_FOUND, "nothing", p:unfreeze "nothing")
    fails(E.INVALID, "connect_failed", p:report_node("orders", A, "well"))
    fails(E.NOT_FOUND, "nothing", p:report_node("nothing", A, "connected"))
    for outcome in pairs(primacy.enum.report_outcome) do assert(p:report_node("orders", A, outcome)) end
    raises("table expected", p.freeze, p, "orders", "x")
    raises("table expected", p.override, p, "orders", A)
    raises("table expected", p.recover, p, "orders", A, true)
    p:close()
end)

test("a proxy is told", function()
    local at = { proxy = "127.0.0.1:1", timeout = 2 }
    fails(E.IO, "127.0.0.1:1", primacy.proxy_command("MPP SHOW ALL", at))
    fails(E.INVALID, "", primacy.proxy_command("MPP DANCE", at))
    fails(E.INVALID, "", primacy.proxy_command("MPP SHOW ALL", {}))
    fails(E.INVALID, "`timeout`", primacy.proxy_command("MPP SHOW ALL", { proxy = "127.0.0.1:1", timeout = -1 }))
    fails(E.INVALID, "no option 'host'", primacy.proxy_command("MPP SHOW ALL", { host = "127.0.0.1:1" }))
    fails(E.INVALID, "`command` has a NUL", primacy.proxy_command("MPP SHOW ALL\0", at))
    raises("table expected", primacy.proxy_command, "MPP SHOW ALL")
    raises("string expected", primacy.proxy_command, 3, at)
    primacy.allow_blocking(false)
    fails(E.WOULD_BLOCK, "would block", primacy.proxy_command("MPP SHOW ALL", at))
end)

test("events", function()
    local p = ready()
    local all = assert(p:events())
    local switches = assert(p:events { kinds = { "switch" }, severity = "info", pool = "orders", capacity = 4 })
    local narrow = assert(p:events { capacity = 2 })
    assert(all:fd() > 2)
    equal(all:next(), nil)
    equal(select("#", all:next()), 1)
    equal(all:wait(0.01), nil)
    for _ = 1, 4 do cycle(p, "refused") end
    local kinds, last = {}, "0"
    for event in all.next, all do
        kinds[event.kind] = (kinds[event.kind] or 0) + 1
        digits(event.sequence)
        digits(event.mono_ns)
        digits(event.epoch)
        digits(event.count)
        assert(#event.sequence > #last or event.sequence > last, "sequence goes up")
        last = event.sequence
        assert(event.wall_ms > 1600000000000)
    end
    assert(kinds.state and kinds.status and kinds.switch == 1, "every kind came")
    local event = assert(switches:wait(1))
    equal(event.kind, "switch")
    equal(event.pool, "orders")
    equal(event.node, B)
    assert(event.rule > 0 and #event.message > 0 and event.severity and event.cause)
    equal(event.new_state, "ACTIVE")
    equal(switches:next(), nil)
    event = narrow:next()
    equal(event.kind, "lost")
    assert(tonumber(event.count) > 0)

    fails(E.NOT_FOUND, "nothing", p:events { pool = "nothing" })
    fails(E.INVALID, "capacity", p:events { capacity = 0 })
    fails(E.INVALID, "capacity", p:events { capacity = 2 ^ 31 })
    fails(E.INVALID, "one of switch, state", p:events { kinds = { "swatch" } })
    fails(E.INVALID, "one of info, warning, alarm", p:events { severity = "loud" })
    fails(E.INVALID, "no option 'kind'", p:events { kind = "switch" })
    fails(E.INVALID, "seconds", all:wait(-1))
    fails(E.INVALID, "seconds", all:wait(0 / 0))
    raises("table expected", p.events, p, { kinds = "switch" })
    raises("number expected", all.wait, all)
    -- It outlives the instance, and ends of its own.
    for _ = 1, 3 do cycle(p) end
    p:close()
    assert(all:next())
    equal(all:close(), true)
    equal(all:close(), true)
    fails(E.HANDLE, "was closed", all:next())
    fails(E.HANDLE, "was closed", all:fd())
    fails(E.HANDLE, "was closed", all:wait(0))
end)

test("open finds what is open", function()
    local path = cache()
    local p = assert(primacy.open(external { cache_file = path }))
    -- A script that is run again gets the same object.
    assert(rawequal(p, primacy.open(external { cache_file = path })))
    assert(p:start())
    assert(rawequal(p, primacy.open(external { cache_file = path })))
    -- The same in another order of words: another object, the same engine.
    local config = assert(primacy.config())
    config:set("cache_file", path):add_pool("name:orders;primary:" .. A .. ";secondary:" .. B)
    config:set("pool.orders.probe", "external"):set("pool.orders.policy", "mpp")
    local other = assert(primacy.open(config))
    assert(not rawequal(p, other))
    for _ = 1, 3 do cycle(p) end
    equal(other:active "orders", A)
    fails(E.CONFIG_DIFFERS, "another configuration", primacy.open(external { cache_file = path, ["pool.orders.levels"] = 9 }))
    -- One that was closed or stopped is not found again.
    other:close()
    local third = assert(primacy.open(config))
    assert(not rawequal(other, third))
    equal(third:active "orders", A)
    assert(third:stop())
    fails(E.STOPPED, "stopped", p:observe("orders", A, "ok"))
    local fourth = assert(primacy.open(external { cache_file = path }))
    assert(not rawequal(fourth, p) and not rawequal(fourth, third))
    cycle(fourth)
    fourth:close()
    third:close()
    p:close()

    -- By path and by table.
    local toml = folder .. "/open.toml"
    local file = assert(io.open(toml, "w"))
    file:write("cache_file = '", cache(), "'\n[pool.orders]\nprobe = 'external'\nnodes = [{ address = '", A, "' }]\n")
    file:close()
    p = assert(primacy.open(toml))
    assert(rawequal(p, primacy.open(toml)))
    assert(rawequal(p, primacy.open { file = toml }))
    assert(os.remove(toml))
    assert(rawequal(p, primacy.open(toml)), "no file is read for what is open")
    p:close()
    fails(E.IO, toml, primacy.open(toml))
end)

test("the collector leaves alone what open gave", function()
    local path = cache()
    assert(primacy.open(external { cache_file = path })):start()
    collect()
    local p = primacy.open(external { cache_file = path })
    fails(E.STATE, "exclude each other", p:fd())
    p:close()
end)

test("reload", function()
    local path = cache()
    local p = assert(primacy.open(external { cache_file = path }))
    for _ = 1, 3 do cycle(p) end
    local queue = assert(p:events { kinds = { "reload" } })
    local wider = external { cache_file = path, ["pool.orders.levels"] = 9 }
    equal(p:reload(wider), true)
    equal(assert(queue:next()).kind, "reload")
    equal(p:active "orders", A)
    assert(rawequal(p, primacy.open(wider)), "it is found by what it runs with")
    fails(E.CONFIG_DIFFERS, "another configuration", primacy.open(external { cache_file = path }))
    fails(E.REFUSED, "cache_file", p:reload(external { cache_file = cache() }))
    fails(E.CONFIG, "no.such", p:reload { set = { ["no.such"] = 1 } })
    fails(E.IO, "/nowhere", p:reload "/nowhere")
    raises("primacy.config", p.reload, p, 3)
    p:close()
end)

test("a life", function()
    local p = assert(primacy.new(probing()))
    local queue = assert(p:events { kinds = { "state" } })
    assert(p:start())
    assert(p:start())
    fails(E.STATE, "exclude each other", p:fd())
    fails(E.STATE, "fd() first", p:dispatch())
    fails(E.STATE, "run", p:run_cycle("orders", 1))
    local event = assert(queue:wait(20), "probing in a thread ends in an event")
    equal(event.new_state, "FAILED_OFFLINE")
    assert(p:stop())
    assert(p:stop())
    fails(E.STATE, "stopped", p:start())
    fails(E.STOPPED, "stopped", p:recover("orders", "127.0.0.1:1"))
    fails(E.STOPPED, "stopped", p:report_node("orders", "127.0.0.1:1", "connected"))
    says(p:explain "orders", "127.0.0.1:1")
    equal(#p:snapshot().pools[1].nodes, 2)
    equal(p:close(), true)
    equal(p:close(), true)
    says(tostring(p), "closed")
    for _, name in ipairs {
        "start", "stop", "fd", "dispatch", "metrics", "snapshot", "json", "events",
    } do fails(E.HANDLE, "was closed", p[name](p)) end
    for _, name in ipairs {
        "reload", "run_cycle", "active", "explain", "budget", "budget_json", "cycle", "recover_pool", "activate_primary", "unfreeze",
    } do fails(E.HANDLE, "was closed", p[name](p, "orders")) end
    fails(E.HANDLE, "was closed", p:observe("orders", A, "ok"))
    fails(E.HANDLE, "was closed", p:recover("orders", A))
    fails(E.HANDLE, "was closed", p:freeze("orders", { reason = "x" }))
end)

test("the host's loop", function()
    local p = assert(primacy.new(probing()))
    fails(E.STATE, "fd() first", p:dispatch())
    assert(p:fd() > 2)
    local deadline = os.time() + 20
    repeat
        assert(p:dispatch() >= 0)
        assert(os.time() < deadline, "dispatching leads to a decision")
    until node(p, "127.0.0.1:1").cause == "refused"
    fails(E.STATE, "loop", p:start())
    p:close()
end)

test("one cycle for a script", function()
    local p = assert(primacy.new(probing()))
    assert(p:run_cycle("orders", 10))
    equal(node(p, "127.0.0.1:1").cause, "refused")
    equal(node(p, "127.0.0.1:2").cause, "refused")
    fails(E.NOT_FOUND, "nothing", p:run_cycle "nothing")
    fails(E.INVALID, "timeout", p:run_cycle("orders", -1))
    fails(E.STATE, "external", p:observe("orders", "127.0.0.1:1", "ok"))
    p:close()
end)

test("selection", function()
    local p = ready()
    local rw, ro = assert(p:selector "orders.rw"), assert(p:selector "ro")
    local writer = assert(rw:select())
    equal(writer.host, "10.0.1.11")
    equal(writer.port, 3306)
    equal(writer.address, "10.0.1.11:3306")
    equal(writer.path, nil)
    equal(writer.reason, "role")
    equal(writer.flags, 0)
    equal(writer.stale, false)
    equal(writer.fallback, false)
    equal(writer.trial, false)
    equal(writer.other_site, false)
    equal(writer.token, nil)
    equal(writer.epoch, p:snapshot().pool.orders.epoch)
    digits(writer.epoch)
    digits(writer.generation)
    equal(rw:node_name(writer), A)
    equal(rw:node_name(writer.slot), A)
    equal(tostring(writer), "primacy.backend 10.0.1.11:3306")
    equal(rw:current(writer), "stays")
    equal(rw:report(writer, "connected"), true)
    local reader = assert(ro:select())
    equal(reader.address, B)
    equal(ro:node_name(reader.slot), B)

    -- The role moves: sessions of the old node end, those of others stay.
    for _ = 1, 4 do cycle(p, "refused") end
    equal(rw:current(writer), "ends")
    local second = assert(rw:select())
    equal(second.address, B)
    assert(second.generation ~= writer.generation or second.slot ~= writer.slot)
    equal(rw:current(second), "stays")
    -- Nobody stands by: the fallback.
    local fallback = assert(ro:select())
    equal(fallback.address, B)
    equal(fallback.fallback, true)
    equal(fallback.reason, "fallback")

    equal(rw:release(writer), true)
    equal(writer.released, true)
    fails(E.STATE, "released before", rw:release(writer))
    equal(rw:release(second), true)
    fails(E.INVALID, "another selector", rw:release(reader))
    fails(E.INVALID, "another selector", rw:current(reader))
    fails(E.INVALID, "another selector", rw:report(reader, "connected"))
    fails(E.INVALID, "another selector", rw:node_name(reader))
    equal(ro:release(reader), true)
    equal(ro:release(fallback), true)
    for outcome in pairs(primacy.enum.report_outcome) do assert(rw:report(second, outcome)) end
    fails(E.INVALID, "connect_failed", rw:report(second, "well"))
    fails(E.NOT_FOUND, "99", rw:node_name(99))
    fails(E.INVALID, "-1", rw:node_name(-1))
    fails(E.INVALID, "0.5", rw:node_name(0.5))
    raises("primacy.backend", rw.release, rw, second.slot)
    raises("primacy.backend", rw.current, rw)
    raises("primacy.selector", rw.select, p)
    raises("table expected", rw.select, rw, "x")
    raises("", function() second.host = "elsewhere" end)
    p:close()
end)

test("what a client asks for", function()
    local p = assert(primacy.new(external()))
    local one, two = "11111111-2222-3333-4444-555555555555:1-100", "11111111-2222-3333-4444-555555555555:1-90"
    local function told()
        assert(p:observe("orders", A, "ok", { flavour = "mysql", gtids = one }))
        assert(p:observe("orders", B, "ok", { flavour = "mysql", gtids = two }))
        assert(p:cycle "orders")
    end
    for _ = 1, 3 do told() end
    local rw, ro = assert(p:selector "rw"), assert(p:selector "ro")
    -- Read your writes.
    equal(assert(ro:select { min_gtid = two }).address, B)
    equal(assert(ro:select { min_gtid = two }).reason, "gtid")
    local found = assert(ro:select { min_gtid = one })
    equal(found.address, A)
    equal(found.reason, "gtid_active")
    local future = "11111111-2222-3333-4444-555555555555:1-200"
    fails(E.GTID_UNKNOWN, "transactions", ro:select { min_gtid = future })
    equal(assert(ro:select { min_gtid = future, stale_ok = true }).address, B)
    equal(assert(ro:select { min_gtid = future, stale_ok = true, avoid = {} }).address, B)
    fails(E.INVALID, "GTID", ro:select { min_gtid = "garbage" })
    fails(E.INVALID, "GTID", ro:select { min_gtid = "11111111-2222-3333-4444-555555555555:1-9223372036854775808" })
    fails(E.INVALID, "`min_gtid` has a NUL", ro:select { min_gtid = "a\0" })
    -- Tried before: by object or slot, however many.
    local first = assert(ro:select())
    local next = assert(ro:select { avoid = { first } })
    equal(next.address, A)
    equal(next.reason, "fallback")
    equal(assert(ro:select { avoid = { first.slot } }).address, A)
    fails(E.NO_BACKEND, "avoid", ro:select { avoid = { first, next.slot } })
    equal(assert(ro:select { avoid = { rw:select() } }).address, B)
    fails(E.NO_BACKEND, "avoid", rw:select { avoid = { assert(rw:select()) } })
    local many = {}
    for at = 1, 1000 do many[at] = 50 + at end
    equal(assert(ro:select { avoid = many }).address, B)
    many[1000] = first
    equal(assert(ro:select { avoid = many }).address, A)
    many[1001] = next
    fails(E.NO_BACKEND, "avoid", ro:select { avoid = many })
    fails(E.INVALID, "no slot", ro:select { avoid = { -1 } })
    fails(E.INVALID, "no slot", ro:select { avoid = { 0.5 } })
    fails(E.INVALID, "no slot", ro:select { avoid = { 2 ^ 32 } })
    for at = 1, 70000 do many[at] = 7 end
    fails(E.INVALID, "65536", ro:select { avoid = many })
    fails(E.INVALID, "no option 'min_gtids'", ro:select { min_gtids = one })
    raises("must be a boolean", ro.select, ro, { stale_ok = 1 })
    raises("primacy.backend", ro.select, ro, { avoid = { "x" } })
    raises("primacy.backend", ro.select, ro, { avoid = { p } })
    raises("table expected", ro.select, ro, { avoid = 3 })
    p:close()
end)

test("nobody to go to", function()
    local p = assert(primacy.new(external()))
    local rw = assert(p:selector "orders.rw")
    fails(E.NO_BACKEND, "no node is ACTIVE", rw:select())
    says(rw:reason(), A)
    says(rw:reason(), B)
    for _ = 1, 3 do cycle(p) end
    assert(rw:select())
    for _ = 1, 20 do cycle(p, "ok", "ok", "FAIL") end
    fails(E.NO_BACKEND, "orders", rw:select())
    fails(E.NOT_FOUND, "nothing", p:selector "nothing")
    fails(E.NOT_FOUND, "nothing", p:selector "orders.nothing")
    fails(E.NOT_FOUND, "", p:selector "")
    fails(E.INVALID, "`service` has a NUL", p:selector "rw\0")
    raises("string expected", p.selector, p)
    -- After a stop nobody is sent anywhere.
    local kept = assert(primacy.new(external()))
    for _ = 1, 3 do cycle(kept) end
    local selector = assert(kept:selector "rw")
    local session = assert(selector:select())
    assert(kept:stop())
    fails(E.STOPPED, "stopped", selector:select())
    fails(E.STOPPED, "stopped", selector:current(session))
    fails(E.STOPPED, "stopped", kept:selector "ro")
    kept:close()
    fails(E.HANDLE, "was closed", kept:selector "rw")
    p:close()
end)

test("a selector is kept with its instance", function()
    local p = ready()
    local rw = assert(p:selector "orders.rw")
    assert(rawequal(rw, p:selector "orders.rw"))
    assert(rawequal(rw, p:selector("orders.rw", {})))
    local seeded = assert(p:selector("orders.rw", { seed = "18446744073709551615", site = "east" }))
    assert(not rawequal(rw, seeded))
    assert(rawequal(seeded, p:selector("orders.rw", { site = "east", seed = "18446744073709551615" })))
    assert(assert(p:selector("orders.rw", { seed = 9007199254740992 })):select())
    for _, seed in ipairs { "", "-1", "18446744073709551616", "1e3", "12x", " 1" } do
        fails(E.INVALID, "`seed`", p:selector("orders.rw", { seed = seed }))
    end
    for _, seed in ipairs { -1, 0.5, 2 ^ 60, 1 / 0, 0 / 0 } do
        fails(E.INVALID, "`seed`", p:selector("orders.rw", { seed = seed }))
    end
    fails(E.INVALID, "no option 'sites'", p:selector("orders.rw", { sites = "x" }))
    raises("must be a string", p.selector, p, "orders.rw", { site = 3 })
    raises("string expected", p.selector, p, "orders.rw", { seed = true })
    local backend = assert(rw:select())
    equal(rw:close(), true)
    equal(rw:close(), true)
    for _, name in ipairs { "select", "release", "report", "current", "node_name", "reason" } do
        fails(E.HANDLE, "was closed", rw[name](rw, backend, "connected"))
    end
    local again = assert(p:selector "orders.rw")
    assert(not rawequal(rw, again))
    fails(E.INVALID, "another selector", again:release(backend))
    -- A selector and a queue keep their instance, and all go when nothing leads to them.
    local gone = setmetatable({}, { __mode = "k" })
    local function alone()
        local other = ready()
        gone[other] = true
        return assert(other:selector "rw"), assert(other:events())
    end
    local selector, queue = alone()
    collect()
    assert(selector:select())
    selector = nil
    collect()
    assert(next(gone))
    equal(queue:next(), nil)
    queue = nil
    collect()
    equal(next(gone), nil)
    p:close()
end)

test("addresses of every family", function()
    local p = assert(primacy.new {
        text = [[
            [pool.six]
            probe = "external"
            nodes = [{ address = "[2001:db8::1]:3307" }]
            [pool.six.service.x]
            role = "active"
            port = 33060
        ]],
    })
    assert(p:observe("six", "[2001:db8::1]:3307", "ok"))
    local classic = assert(p:selector "six.x"):select()
    equal(assert(classic).host, "2001:db8::1")
    equal(classic.port, 33060)
    equal(classic.address, "[2001:db8::1]:33060")
    p:close()
end)

test("objects of another type", function()
    local p, queue = ready(), nil
    queue = assert(p:events())
    raises("primacy.instance", p.start, queue)
    raises("primacy.instance", p.start, io.stdout)
    raises("primacy.instance", p.start, {})
    raises("primacy.instance", p.start)
    raises("primacy.events", queue.next, p)
    raises("primacy.config", primacy.config().set, p, "a", "b")
    equal(getmetatable(p), "primacy.instance")
    raises("", setmetatable, p, {})
    equal(p.nothing, nil)
    raises("", function() p.start = nil end)
    queue:close()
    p:close()
end)

test("whatever comes in", function()
    primacy.allow_blocking(false)
    local state = 1
    local function random(n)
        state = (state * 16807) % 2147483647
        return state % n + 1
    end
    local objects
    local function renew()
        local p = assert(primacy.new(external()))
        assert(p:start())
        for _ = 1, 3 do cycle(p) end
        local selector = assert(p:selector "rw")
        objects = { p, assert(p:events()), selector, assert(selector:select()), external() }
    end
    local methods = {
        {
            "start", "stop", "close", "fd", "dispatch", "reload", "run_cycle", "active", "explain", "budget", "budget_json", "metrics",
            "observe", "cycle", "report_node", "recover", "recover_pool", "activate_primary", "remove", "override", "clear_override",
            "freeze", "unfreeze", "maintenance", "snapshot", "json", "events", "selector",
        },
        { "next", "fd", "wait", "close" },
        { "select", "release", "report", "current", "node_name", "reason", "close" },
        { "address", "epoch" },
        { "load_file", "load_text", "set", "add_pool", "close" },
    }
    local functions = { "config", "new", "open", "cause_class", "rule_text", "version" }
    local function value()
        local plain = {
            0, -1, 0.5, 2 ^ 53, 1e308, -1e308, 0 / 0, "", "orders", "rw", A, B, "ok", "connected", "a\0b", ("x"):rep(5000), "\255", true, false,
            print, io.stdout, coroutine.create(function() end), { 1, 2, 3 }, { reason = "x" }, { reason = "x", nowait = true, role = "stay" },
            { nowait = true, reason = "x", weight = 3 }, { channels = { {}, {} } }, { avoid = { 1, 2 } }, { set = { a = 1 } }, { file = 1 },
        }
        local which = random(#plain + 6)
        if which <= #plain then return plain[which] end
        return objects[which - #plain]
    end
    local answers, refusals, errors = 0, 0, 0
    for turn = 1, 2000 do
        if turn % 400 == 1 then renew() end
        local call, arguments
        if random(6) == 1 then
            call, arguments = primacy[functions[random(#functions)]], { value(), value(), value() }
        else
            local kind = random(5)
            local object, name = objects[kind], methods[kind][random(#methods[kind])]
            if (name == "close" or name == "stop") and random(20) > 1 then name = "fd" end
            call, arguments = object[name], { random(30) == 1 and value() or object, value(), value(), value(), value() }
        end
        if type(call) == "function" then
            local done, got, text, code = pcall(call, arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
            if not done then
                assert(type(got) == "string")
                errors = errors + 1
            elseif got == nil and text ~= nil then
                assert(type(text) == "string" and #text > 0 and type(code) == "number" and code ~= 0)
                refusals = refusals + 1
            else
                answers = answers + 1
            end
        end
    end
    assert(answers > 100 and refusals > 100 and errors > 100, ("%d, %d, %d"):format(answers, refusals, errors))
    objects = nil
    collect()
end)

test("what is dropped is freed", function()
    collect()
    local before = descriptors()
    local function use()
        local p = assert(primacy.new(probing { cache_file = cache() }))
        assert(p:events())
        assert(p:start())
        assert(p:snapshot())
        assert(p:selector "rw")
    end
    for _ = 1, 3 do use() end
    assert(descriptors() > before)
    collect()
    -- A thread that ends may close its last ones a moment later.
    local patience = os.clock() + 2
    while descriptors() > before and os.clock() < patience do end
    assert(descriptors() <= before, "all are closed")
end)

test("variables that close", function()
    local script = [[
        local new, config = ...
        local kept
        do
            local p <close> = assert(new(config))
            local queue <close> = assert(p:events())
            kept = queue
        end
        return kept
    ]]
    local load_text = loadstring or load
    local chunk, why = load_text(script)
    if _VERSION < "Lua 5.4" then
        assert(not chunk, "this Lua has <close> after all")
        says(why, "<")
        return
    end
    local queue = assert(chunk, why)(primacy.new, external())
    fails(E.HANDLE, "was closed", queue:next())
    -- A backend is released, once.
    local p = ready { ["pool.orders.service.few.role"] = "any", ["pool.orders.service.few.strategy"] = "least-connections" }
    local use = assert(load_text [[
        local selector = ...
        local backend <close> = assert(selector:select())
        return backend
    ]])
    local few = assert(p:selector "few")
    local first = use(few)
    equal(first.released, true)
    fails(E.STATE, "released before", few:release(first))
    -- While one client stays, all others find the other node without any: each was released.
    local stays = assert(few:select())
    for _ = 1, 8 do assert(use(few).address ~= stays.address) end
    p:close()
end)

os.exit(failures == 0 and 0 or 1, true)
