-- For the tests: "ok NAME" lines, a client of the stand-in that goes through the whole order of hooks, and fresh sources.
local machine = require("machine")

local harness = { failures = 0 }

function harness.test(name, body)
    local good, why = xpcall(body, function(problem)
        if type(problem) == "table" and problem.died then problem = "the proxy died: " .. problem.died end
        return debug.traceback(tostring(problem))
    end)
    if good then
        print("ok " .. name)
    else
        harness.failures = harness.failures + 1
        print("# " .. why:gsub("\n", "\n# "))
        print("not ok " .. name)
    end
end

local function show(value)
    return type(value) == "string" and string.format("%q", value) or tostring(value)
end

function harness.equal(got, wanted, what)
    if got ~= wanted then error((what or "value") .. " is " .. show(got) .. ", not " .. show(wanted), 2) end
end

function harness.says(text, ...)
    for _, word in ipairs({ ... }) do
        if type(text) ~= "string" or not text:find(word, 1, true) then error(show(text) .. " does not say " .. show(word), 2) end
    end
end

-- An error with this word; where the proxy would die, that is the text.
function harness.raises(word, call, ...)
    local good, why = pcall(call, ...)
    if good then error("no error was raised", 2) end
    if type(why) == "table" then why = why.died end
    harness.says(tostring(why), word)
end

-- Forgets what the script's modules hold: a proxy that is started anew.
function harness.forget()
    for name in pairs(package.loaded) do
        if name:match("^primacy_proxy") then package.loaded[name] = nil end
    end
end

-- A proxy with these backends, started anew. options.settings: a table for settings.check; options.source: in place of the
-- one that they name.
function harness.proxy(backends, options)
    harness.forget()
    options = options or {}
    local host = machine.new({
        backends = backends, now = options.now,
        proxy_script = options.proxy_script or SCRIPTS .. "/primacy-proxy.lua", admin_script = options.admin_script or SCRIPTS .. "/admin.lua",
    })
    if options.settings then
        local settings = require("primacy_proxy.settings").check(options.settings)
        local made = options.source
        if not made and options.settings.source == "push" then made = require("primacy_proxy.pushed").new(settings, options.now) end
        require("primacy_proxy.source").use(settings, made)
    end
    return host
end

-- What a client sees. Servers answer unless `dead` (a set of addresses); `login` is the user's name.
local Client = {}
Client.__index = Client

function harness.client(host, options)
    options = options or {}
    local client = setmetatable({ host = host, con = host:accept(), dead = options.dead or {}, tries = {} }, Client)
    local con = client.con
    local step = con:connect_server()
    while step.act == "connect" do
        client.tries[#client.tries + 1] = step.address
        if client.dead[step.address] then
            step = con:connect_failed()
        else
            con:connected()
            client.address = step.address
            if options.until_connected then return client end
            con:read_handshake()
            con:read_auth({ username = options.login or "app", default_db = "test" })
            step = con:read_auth_result(options.auth_result or "\0\0\0\2\0\0\0")
            client.open = step.act == "forward" and not step.close
            return client
        end
    end
    client.answer = step.answers[1]
    client.sent = step
    return client
end

-- The outcome of a command: "forwarded", or the first answer's table; `closed` afterwards where the proxy closes.
function Client:query(text)
    return self:command("\3" .. text)
end

function Client:command(packet)
    local step = self.con:read_query(packet)
    if step.close or step.act == "close" then
        self.closed = true
        self.con:disconnect()
    end
    if step.act == "forward" then return "forwarded" end
    return step.answers and step.answers[1] or step.act
end

function Client:quit()
    self.con:disconnect()
end

-- One command on the admin plugin, on a connection of its own.
function harness.admin(host, text)
    local con = host:accept_admin()
    local step = con:read_query("\3" .. text)
    con:disconnect()
    return step.answers[1], step
end

-- Commands that must succeed.
function harness.push(host, ...)
    for _, text in ipairs({ ... }) do
        local got = harness.admin(host, text)
        if got.kind ~= "resultset" or got.rows[1][1] ~= "SUCCESS" then error(text .. ": " .. show(got.errmsg), 2) end
    end
end

-- MPP SHOW ALL as { [node] = { ["group.element"] = value } }.
function harness.shown(host)
    local got = harness.admin(host, "MPP SHOW ALL")
    harness.equal(got.kind, "resultset")
    local made = {}
    for _, row in ipairs(got.rows) do
        made[row[1]] = made[row[1]] or {}
        made[row[1]][row[2] .. "." .. row[3]] = row[4]
    end
    return made
end

-- The state of each backend, as a text like "up down".
function harness.states(host)
    local words = {}
    for i, backend in ipairs(host.backends) do words[i] = ({ [0] = "unknown", "up", "down" })[backend.state] end
    return table.concat(words, " ")
end

return harness
