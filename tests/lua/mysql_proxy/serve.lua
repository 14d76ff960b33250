-- The stand-in as a process: steps come in on standard input, what the proxy does next goes out on standard output.
-- front.py starts it and owns the sockets. Log lines go to standard error.
--
--     lua5.1 serve.lua HERE LUA_PATH PROXY_SCRIPT|- ADMIN_SCRIPT|- [rw|ro ADDRESS]...
local here = arg[1]
package.path = here .. "/?.lua;" .. arg[2] .. ";" .. package.path
local pipe = require("pipe")
local machine = require("machine")

local backends = {}
for i = 5, #arg, 2 do
    backends[#backends + 1] = { arg[i + 1], arg[i] }
end
local host = machine.new({
    backends = backends,
    proxy_script = arg[3] ~= "-" and arg[3] or nil,
    admin_script = arg[4] ~= "-" and arg[4] or nil,
})
host.on_log = function(level, text) io.stderr:write("(", level, ") ", text, "\n") end
-- What a script prints goes where the proxy's own words go.
print = function(...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    io.stderr:write(table.concat(words, "\t"), "\n")
end

local connections = {}
local steps = {
    accept = function(request) connections[request.id] = host:accept(request.src, request.dst) return { act = "wait" } end,
    accept_admin = function(request) connections[request.id] = host:accept_admin(request.src) return { act = "wait" } end,
}
for _, name in ipairs({ "connect_server", "connected", "connect_failed" }) do
    steps[name] = function(request) local con = connections[request.id] return con[name](con) end
end
for name, field in pairs({ read_handshake = "challenge", read_auth = "response", read_auth_result = "packet", read_query = "packet" }) do
    steps[name] = function(request) local con = connections[request.id] return con[name](con, request[field]) end
end
function steps.disconnect(request)
    local con = connections[request.id]
    connections[request.id] = nil
    return con and con:disconnect() or { act = "gone" }
end

while true do
    local request, ended = pipe.decode(io.stdin)
    if ended then break end
    local good, answer = pcall(steps[request.step], request)
    if not good then
        if type(answer) == "table" and answer.died then
            io.stderr:write("(died) ", answer.died, "\n")
            os.exit(134)
        end
        io.stderr:write("(stand-in) ", tostring(answer), "\n")
        answer = { act = "broken", text = tostring(answer) }
    end
    io.stdout:write(pipe.encode(answer))
    io.stdout:flush()
end
