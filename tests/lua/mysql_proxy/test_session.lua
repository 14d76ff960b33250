-- The hooks themselves: failures of a source, refusals in both ways, reports and releases.
local harness = require("harness")
local test, equal, says = harness.test, harness.equal, harness.says

local A, B = "127.0.0.1:3301", "127.0.0.1:3302"

-- A source that does as it is told, and keeps what it was asked.
local function source_of(given)
    local made = { calls = {} }
    local function note(text) made.calls[#made.calls + 1] = text end
    function made:select(tried)
        if given.select then return given.select(tried) end
        return { name = "a", address = A }
    end
    function made:stays(choice) if given.stays then return given.stays(choice) end return true end
    function made:serves(address) if given.serves then return given.serves(address) end return address == A end
    function made:report(choice, outcome) note(choice.name .. " " .. outcome) end
    function made:release(choice) note(choice.name .. " released") end
    return made
end

local function fresh(given, settings)
    settings = settings or {}
    settings.source = "push"
    local source = source_of(given or {})
    local host = harness.proxy({ { A, "rw" }, { B, "rw" } }, { settings = settings, source = source })
    return host, source
end

local function calls(source)
    local text = table.concat(source.calls, ", ")
    source.calls = {}
    return text
end

test("every choice is released once; what became of its connection is reported", function()
    local host, source = fresh()
    local client = harness.client(host)
    equal(calls(source), "a connected")
    client:query("x")
    client:quit()
    equal(calls(source), "a released")

    -- The login failed: that is the user's affair.
    harness.client(host, { auth_result = "\255\21\4#28000Access denied" }).con:disconnect()
    equal(calls(source), "a released")

    -- Connected, but no greeting ever came.
    harness.client(host, { until_connected = true }).con:disconnect()
    equal(calls(source), "a connect_failed, a released")
end)

test("a failed connect is reported and released before the next is chosen, and is named as tried", function()
    local asked = {}
    local host, source = fresh({ select = function(tried)
        asked[#asked + 1] = tried.a and tried.a.name or "-"
        if not tried.a then return { name = "a", address = A } end
        if not tried.b then return { name = "b", address = B } end
        return nil, "none is left"
    end })
    local client = harness.client(host, { dead = { [A] = true } })
    equal(client.address, B)
    equal(table.concat(asked, " "), "- a")
    equal(calls(source), "a connect_failed, a released, b connected")
    client:quit()
    equal(calls(source), "b released")
    local none = harness.client(host, { dead = { [A] = true, [B] = true } })
    says(none.answer.errmsg, "none is left")
    none.con:disconnect()
    equal(calls(source), "a connect_failed, a released, b connect_failed, b released")
end)

test("a node that the proxy has no backend for is passed over", function()
    local host, source = fresh({ select = function(tried)
        if not tried.x then return { name = "x", address = "10.9.9.9:3306" } end
        return nil, "nobody else"
    end })
    local client = harness.client(host)
    says(client.answer.errmsg, "nobody else")
    equal(calls(source), "x released")
end)

test("a source that fails lets nobody in and no statement through", function()
    for _, hook in ipairs({ "select", "serves" }) do
        local host = fresh({ [hook] = function() error("boom " .. hook) end })
        local client = harness.client(host)
        equal(client.answer.kind, "err")
        equal(client.answer.errcode, 1105)
        equal(client.address, nil)
    end
    local host = fresh({ stays = function() error("boom") end })
    local client = harness.client(host)
    equal(client:query("INSERT").errcode, 1105)
    equal(client.closed, true)
    equal(host.backends[1].forwarded, nil)
    equal(table.concat(host.lines, "\n"), "")
end)

test("refused at the login: a greeting, then the error, then nothing else", function()
    local host, source = fresh({ select = function() return nil, "no ACTIVE node" end }, { refuse_at = "login", data_port_users = { "mpp" } })
    local con = host:accept()
    local step = con:connect_server()
    equal(step.answers[1].kind, "raw")
    local greeting = step.answers[1].packet
    equal(greeting:byte(), 10)
    -- protocol, version, thread, 8 bytes, filler, capabilities, charset, status, more capabilities, length, 10 zeros, 13 bytes, plugin
    says(greeting:sub(-22), "mysql_native_password\0")
    equal(#greeting, 1 + #"5.5.5-primacy\0" + 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10 + 13 + 22)
    local refusal = con:read_auth({ username = "mpp" }).answers[1]
    equal(refusal.errcode .. refusal.sqlstate .. refusal.errmsg, "104008004no ACTIVE node")
    -- Whoever goes on all the same gets no further, and no command.
    step = con:read_query("\3MPP SHOW ALL")
    equal(step.answers[1].errcode, 1040)
    equal(step.close, true)
    con:disconnect()
    equal(calls(source), "")
end)

test("a message is cut to what fits, and has no control characters", function()
    local host = fresh({ select = function() return nil, "a\nb" .. ("x"):rep(5000) end })
    local client = harness.client(host)
    says(client.answer.errmsg, "a bxx")
    equal(#client.answer.errmsg, 500)
end)

test("a session without a choice gets nowhere", function()
    local host = fresh({}, { data_port_users = { "mpp" } })
    local client = harness.client(host)
    -- As if a hook had been lost: the connection has a server, the session no choice, and nobody has seen a login.
    local con = host:accept()
    con.state = "read_query"
    con.server = { dst = A }
    con.backend, con.backend_ndx = host.backends[1], 0
    con.client.response = { username = "mpp" }
    equal(con:read_query("\3MPP SHOW ALL").answers[1].errcode, 1053)
    con.state = "read_query"
    local step = con:read_query("\3SELECT 1")
    equal(step.answers[1].errcode, 1053)
    equal(step.close, true)
    equal(client:query("x"), "forwarded")
end)

test("ten thousand connections leave nothing behind", function()
    local host, source = fresh()
    local function round()
        for _ = 1, 1000 do
            local client = harness.client(host)
            client:query("x")
            client:quit()
        end
        host.trace, source.calls = {}, {}
        collectgarbage("collect")
        collectgarbage("collect")
        return collectgarbage("count")
    end
    round()
    local before = round()
    for _ = 1, 8 do round() end
    local after = round()
    if after > before + 100 then error("grew from " .. before .. " to " .. after .. " KiB") end
    equal(host.backends[1].connected_clients, 0)
end)
