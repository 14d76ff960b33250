-- The one source of all connections and of the admin plugin, made when it is first asked for. (The proxy has one Lua state;
-- what a module holds lives as long as the proxy.)
--
-- A source has, for sessions:
--   select(tried)           a choice { name, address, … }, or nil and why not; tried: the choices by name that failed before
--   stays(choice)           whether its session may go on: true, or false and why not
--   serves(address)         whether new sessions may go to the backend at this canonical address
--   report(choice, outcome) "connected", "connect_failed"
--   release(choice)         the session has ended
-- and for MPP's commands: refresh() before them, nodes(), name_of(address), show(name, rows), initialize(name, type),
-- set(name, element, value); the last two give true, or nil and { pair, text } as in answer.lua.
local settings = require("primacy_proxy.settings")

local source = {}

local checked, made

function source.settings()
    checked = checked or settings.load()
    return checked
end

function source.get()
    if not made then
        local kind = source.settings().source == "push" and "primacy_proxy.pushed" or "primacy_proxy.library"
        made = require(kind).new(checked)
    end
    return made
end

-- For tests: what to use from now on.
function source.use(other_settings, other_source)
    checked, made = other_settings, other_source
end

return source
