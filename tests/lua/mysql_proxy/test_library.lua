-- source = "library": the real module, whose pool is told what to think of its nodes (probe = "external").
local primacy = require("primacy")
local harness = require("harness")
local test, equal, says = harness.test, harness.equal, harness.says

local A, B, C = "127.0.0.1:3301", "127.0.0.1:3302", "127.0.0.1:3303"

local files = 0

-- A proxy whose script reads its settings and the library's configuration from files; and the instance that the script opens.
local function fresh(more, settings, backends)
    files = files + 1
    local name = FOLDER .. "/library" .. files
    local config = io.open(name .. ".toml", "w")
    -- The engine closes a cycle by itself once an interval has passed; here none does.
    config:write('cache_file = "', name, '.cache"\ncontrol_socket = "none"\n[probe]\ninterval = "1h"\n',
        '[pool.orders]\npolicy = "mpp"\nprobe = "external"\n',
        'nodes = [ { address = "', A, '", type = "primary" }, { address = "', B, '", type = "secondary" } ]\n', more or "")
    config:close()
    local given = { source = "library", config = name .. ".toml", service = "orders.rw", override_for = 60 }
    for key, value in pairs(settings or {}) do given[key] = value end
    local host = harness.proxy(backends or { { A, "rw" }, { B, "rw" }, { C, "rw" } }, { settings = given })
    local instance = assert(primacy.open(name .. ".toml"))
    return host, instance
end

local function cycle(instance, a, b)
    assert(instance:observe("orders", A, a or "ok", { message = "A is " .. (a or "ok") }))
    assert(instance:observe("orders", B, b or "ok"))
    assert(instance:cycle("orders"))
end

-- Until the PRIMARY is ACTIVE.
local function ready(instance)
    assert(instance:start())
    for _ = 1, 3 do cycle(instance) end
    equal(instance:active("orders"), A)
end

local function node(instance, name)
    return assert(instance:snapshot()).pool.orders.node[name]
end

test("the library's ACTIVE node takes every client; the others are DOWN", function()
    local host, instance = fresh()
    ready(instance)
    for _ = 1, 3 do
        local client = harness.client(host)
        equal(client.address, A)
        equal(client:query("SELECT 1"), "forwarded")
    end
    equal(harness.states(host), "up down down")
    equal(host.backends[1].connected_clients, 3)
end)

test("nobody was seen yet: an error in the library's words, and the proxy does not pick", function()
    local host = fresh()
    local client = harness.client(host)
    equal(client.address, nil)
    equal(#client.tries, 0)
    equal(client.answer.errcode .. client.answer.sqlstate, "104008004")
    says(client.answer.errmsg, "orders", "no node is ACTIVE", A .. " is UNKNOWN/OK")
    equal(harness.states(host), "down down down")
end)

test("a failover: sessions of the demoted node end with their next statement, new ones go to its heir", function()
    local host, instance = fresh()
    ready(instance)
    local client, idle = harness.client(host), harness.client(host)
    equal(client:query("INSERT"), "forwarded")
    for _ = 1, 4 do cycle(instance, "refused") end
    equal(instance:active("orders"), B)
    for _, ended in ipairs({ client, idle }) do
        local got = ended:query("INSERT")
        equal(got.errcode .. got.sqlstate, "105308S01")
        equal(ended.closed, true)
        says(got.errmsg, A, "serves orders.rw no more", "FAILED", "since 20", "A is refused", "connect again")
    end
    equal(host.backends[1].forwarded, 1)
    local next_one = harness.client(host)
    equal(next_one.address, B)
    equal(next_one:query("INSERT"), "forwarded")
    equal(harness.states(host), "down up down")
end)

test("the ACTIVE node cannot be connected to: an error that names it, nobody else is tried, and the next client tries it again", function()
    local host, instance = fresh()
    ready(instance)
    local client = harness.client(host, { dead = { [A] = true } })
    equal(#client.tries, 1)
    says(client.answer.errmsg, A .. " cannot be connected to")
    equal(harness.client(host).address, A)
end)

test("readers: the standby, and the ACTIVE node as a fallback once the library knows", function()
    local host, instance = fresh("", { service = "orders.ro" })
    ready(instance)
    local client = harness.client(host)
    equal(client.address, B)
    equal(harness.states(host), "down up down")
    local refused = harness.client(host, { dead = { [B] = true } })
    equal(table.concat(refused.tries, " "), B .. " " .. A)
    equal(refused.address, A)
    for _ = 1, 4 do cycle(instance, "ok", "refused") end
    equal(client:query("SELECT 1").errcode, 1053)
    equal(harness.client(host).address, A)
end)

test("a node that the proxy has no backend for gets no clients", function()
    local host, instance = fresh("", {}, { { B, "rw" } })
    ready(instance)
    local client = harness.client(host)
    equal(client.answer.kind, "err")
    says(client.answer.errmsg, A)
    equal(harness.states(host), "down")
end)

test("MPP SHOW ALL shows the library's nodes", function()
    local host, instance = fresh()
    ready(instance)
    harness.client(host)
    local shown = harness.shown(host)
    equal(shown[A]["mpp.type"] .. " " .. shown[A]["mpp.state"] .. " " .. shown[A]["mpp.status"], "PRIMARY ACTIVE OK")
    equal(shown[B]["mpp.type"] .. " " .. shown[B]["mpp.state"], "SECONDARY STANDBY")
    equal(shown[A]["proxy.connected_clients"], "1")
    equal(shown[C]["mpp.state"], nil)
end)

test("what the service says of demotions holds: a planned move drains", function()
    local host, instance = fresh('[pool.orders.service.rw]\nrole = "active"\non_demotion = "drain"\ndrain_deadline = "1h"\n')
    ready(instance)
    local client = harness.client(host)
    harness.push(host, "MPP SET " .. B .. " STATE ACTIVE")
    cycle(instance)
    equal(harness.client(host).address, B)
    equal(client:query("COMMIT"), "forwarded")
    equal(harness.states(host), "down up down")
end)

test("MPP SET is an override with a time limit; INITIALIZE ends it", function()
    local host, instance = fresh('[pool.orders.service.rw]\nrole = "active"\non_demotion = "kill"\n')
    ready(instance)
    local client = harness.client(host)
    harness.push(host, "MPP SET " .. B .. " STATE ACTIVE")
    cycle(instance)
    local override = node(instance, B).override
    equal(override.reason, "MPP SET")
    equal(override.state, "ACTIVE")
    local left = override.until_ms / 1000 - os.time()
    equal(left > 50 and left <= 61, true, "the time limit")
    equal(instance:active("orders"), B)
    equal(client:query("INSERT").errcode, 1053)
    equal(harness.client(host).address, B)

    -- What was set before stays with what is set next.
    harness.push(host, "MPP SET " .. B .. " WEIGHT 7", "MPP SET " .. B .. " STATUS OK_WARN")
    override = node(instance, B).override
    equal(override.state .. override.weight .. override.status, "ACTIVE7OK_WARN")
    local shown = harness.shown(host)[B]
    equal(shown["mpp.status"] .. shown["mpp.weight"] .. shown["mpp.override"], "OK_WARN7MPP SET")
    harness.push(host, "MPP INITIALIZE " .. B .. " TYPE SECONDARY")
    equal(node(instance, B).override, nil)
end)

test("what cannot be set is an error in words", function()
    local host, instance = fresh()
    ready(instance)
    for command, word in pairs({
        ["MPP SET " .. C .. " STATE ACTIVE"] = "none of the library's configuration",
        ["MPP INITIALIZE " .. C .. " TYPE PRIMARY"] = "none of the library's configuration",
        ["MPP INITIALIZE " .. B .. " TYPE PRIMARY"] = "is SECONDARY",
        ["MPP SET " .. B .. " STATUS UNKNOWN"] = "beside the library",
    }) do
        local got = harness.admin(host, command)
        equal(got.kind, "err", command)
        says(got.errmsg, word)
    end
    -- An operator's own order is left alone.
    assert(instance:override("orders", B, { reason = "new disk", weight = 3, nowait = true }))
    says(harness.admin(host, "MPP SET " .. B .. " WEIGHT 1").errmsg, "new disk")
    says(harness.admin(host, "MPP INITIALIZE " .. B .. " TYPE SECONDARY").errmsg, "new disk")
    equal(node(instance, B).override.weight, 3)
end)

test("an instance that was stopped lets nobody in and nothing through", function()
    local host, instance = fresh()
    ready(instance)
    local client = harness.client(host)
    assert(instance:stop())
    local got = client:query("INSERT")
    equal(got.errcode, 1053)
    equal(client.closed, true)
    equal(host.backends[1].forwarded, nil)
    local refused = harness.client(host)
    equal(refused.address, nil)
    equal(refused.answer.kind, "err")
end)

test("a configuration or a service that does not exist refuses every client, with the reason on the admin port", function()
    local host = harness.proxy({ { A, "rw" } }, { settings = { source = "library", config = FOLDER .. "/none.toml", service = "orders.rw" } })
    equal(harness.client(host).answer.errcode, 1105)
    says(harness.admin(host, "MPP SHOW ALL").errmsg, "none.toml")
    host = fresh("", { service = "orders.x" })
    equal(harness.client(host).answer.errcode, 1105)
    says(harness.admin(host, "MPP SHOW ALL").errmsg, "orders.x")
end)

test("a thousand sessions leave nothing behind", function()
    local host, instance = fresh()
    ready(instance)
    local function round()
        for _ = 1, 300 do
            local client = harness.client(host)
            client:query("x")
            client:quit()
        end
        host.trace = {}
        collectgarbage("collect")
        collectgarbage("collect")
        return collectgarbage("count")
    end
    round()
    local before = round()
    round()
    local after = round()
    if after > before + 50 then error("grew from " .. before .. " to " .. after .. " KiB") end
end)
