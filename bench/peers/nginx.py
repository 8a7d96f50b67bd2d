"""nginx with its Lua module and one EVALSHA for each request, where the distribution has both."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.peers.five_limits import OWNERS, TAKE_ALL_OR_NONE, THINKING_S, TOKEN_LIMIT, TOKENS_OF_A_REQUEST, script_arguments
from bench.servers import Server, free_port, running

_MODULES: Final = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))
_CLIENTS: Final = {
    "nginx.redis": Path("/usr/share/lua/5.1/nginx/redis.lua"),
    "resty.redis": Path("/usr/share/lua/5.1/resty/redis.lua"),
}

_CONFIGURATION: Final = """
daemon off;
master_process off;
worker_processes 1;
pid @folder@/nginx.pid;
error_log @folder@/error.log error;
load_module @modules@/ndk_http_module.so;
load_module @modules@/ngx_http_lua_module.so;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path @folder@/body;
  proxy_temp_path @folder@/proxy;
  fastcgi_temp_path @folder@/fastcgi;
  uwsgi_temp_path @folder@/uwsgi;
  scgi_temp_path @folder@/scgi;
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  init_by_lua_block {
    local redis = require '@client@'
    local take = [==[@script@]==]
    local sha
    function with_redis(call)
      local connection = redis:new()
      assert(connection:connect('@host@', @port@))
      local result = call(connection)
      connection:set_keepalive(60000, 200)
      return result
    end
    -- With a length: chunks would be more work for both sides.
    function answer(status, text)
      ngx.status = status
      ngx.header.content_length = #text
      ngx.print(text)
    end
    function take_all(connection)
      sha = sha or assert(connection:script('load', take))
      local caller = ngx.var.http_x_caller
      return connection:evalsha(sha, @count@, @names@, @arguments@)
    end
  }
  server {
    listen 127.0.0.1:@listen@;
    default_type application/json;
    location = /take {
      content_by_lua_block {
        if with_redis(take_all) == 0 then
          answer(200, '{"decision":"allow"}')
        else
          answer(429, '{"decision":"rate_limited"}')
        end
      }
    }
    location = /first {
      content_by_lua_block {
        answer(200, with_redis(function(connection)
          return connection:get('@first@:' .. ngx.var.http_x_caller)
        end))
      }
    }
    location = /answer {
      content_by_lua_block {
        local key = 'tokens:' .. ngx.var.http_x_caller
        local used = with_redis(function(connection)
          return tonumber(connection:get(key)) or 0
        end)
        if used >= @tokens@ then
          return answer(429, '')
        end
        ngx.sleep(@thinking@)
        with_redis(function(connection)
          return connection:incrby(key, @each@)
        end)
        answer(200, '@each@')
      }
    }
  }
}
"""


def is_here() -> bool:
    return shutil.which("nginx") is not None and _modules() is not None and _client() is not None


def _modules() -> Path | None:
    return next((folder for folder in _MODULES if (folder / "ngx_http_lua_module.so").exists()), None)


def _client() -> str | None:
    return next((name for name, path in _CLIENTS.items() if path.exists()), None)


@contextlib.contextmanager
def nginx(redis_url: str, last_limit: int, folder: Path) -> Iterator[Server]:
    address = urlsplit(redis_url)
    port = free_port()
    values = {
        "folder": str(folder),
        "modules": str(_modules()),
        "client": str(_client()),
        "script": TAKE_ALL_OR_NONE,
        "host": str(address.hostname),
        "port": str(address.port),
        "listen": str(port),
        "count": str(len(OWNERS)),
        "names": ", ".join(f"'{owner}:' .. caller" for owner in OWNERS),
        "arguments": ", ".join(map(str, script_arguments(last_limit))),
        "first": OWNERS[0],
        "tokens": str(TOKEN_LIMIT),
        "thinking": str(THINKING_S),
        "each": str(TOKENS_OF_A_REQUEST),
    }
    text = _CONFIGURATION
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", os.devnull]
    with running("nginx", command, port, {}) as server:
        yield server
