# What the tests of the GPU backend need on a machine without a GPU: a software Vulkan that Dawn accepts, and headless WebGL
# in an X server. Sourced by `run`, which has set `gpu` to an empty folder of its own: nothing but the X server is installed
# into the system, whose Mesa stays as it is. All of it is optional; what cannot be had is told, and its tests are skipped by
# name.

skip_gpu() { echo "optional: $1: the tests that need it are skipped"; }

# Whether Dawn finds an adapter.
has_adapter() {
  timeout 60 node --input-type=module -e "
    import { create } from 'webgpu';
    globalThis.dawn = create([]);
    process.exit((await dawn.requestAdapter()) === null ? 1 : 0);" >/dev/null 2>&1
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; }

# Mesa's software Vulkan from the backports of this Debian, unpacked in a folder. Dawn refuses the one of Debian 12.
unpack_vulkan() {
  local codename mirror key driver
  codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
  mirror="$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
    awk -v codename="$codename" '$2 == codename { print $1; exit }')"
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  if [ -z "$mirror" ] || [ ! -f "$key" ]; then
    skip_gpu "there is no Debian mirror here to take a software Vulkan from"
    return 1
  fi
  mkdir -p "$gpu"/lists/partial "$gpu"/cache/archives/partial "$gpu"/debs "$gpu"/root
  printf 'deb [signed-by=%s] %s %s main\n' "$key" "$mirror" "$codename" "$key" "$mirror" "$codename-backports" >"$gpu/sources.list"
  local own=(-q "-oDir::Etc::sourcelist=$gpu/sources.list" -oDir::Etc::sourceparts=- "-oDir::State::Lists=$gpu/lists"
    "-oDir::Cache=$gpu/cache" -oAPT::Sandbox::User=root)
  (
    cd "$gpu/debs" &&
      timeout 90 apt-get "${own[@]}" update &&
      timeout 60 apt-get "${own[@]}" -t "$codename-backports" download mesa-vulkan-drivers libdrm2 libdrm-amdgpu1 &&
      timeout 30 apt-get "${own[@]}" download libvulkan1 &&
      # The compiler that it generates code with.
      { timeout 90 apt-get "${own[@]}" download "$(dpkg-deb -f mesa-vulkan-drivers_*.deb Depends | grep -o 'libllvm[0-9.]*' | head -n 1)" || true; } &&
      for package in *.deb; do dpkg -x "$package" "$gpu/root" || exit 1; done
  ) >"$gpu/vulkan.log" 2>&1 || {
    skip_gpu "no software Vulkan could be downloaded ($(tail -n 1 "$gpu/vulkan.log"))"
    return 1
  }
  driver="$(find "$gpu/root" -name 'lvp_icd*.json' | head -n 1)"
  sed -i "s#\"[^\"]*libvulkan_lvp.so\"#\"$(find "$gpu/root" -name libvulkan_lvp.so)\"#" "$driver"
  export VK_DRIVER_FILES="$driver"
  export LD_LIBRARY_PATH="$(dirname "$(find "$gpu/root" -name libvulkan_lvp.so)")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export XDG_RUNTIME_DIR="$gpu/run"
  mkdir -p -m 700 "$XDG_RUNTIME_DIR"
  # It compiles a kernel with barriers three times as fast when it does not try hard.
  export LP_NATIVE_VECTOR_WIDTH=128 GALLIVM_PERF=nopt
}

provide_webgpu() {
  has_adapter && return
  may_install || { skip_gpu "WebGPU finds no adapter, and only root on Debian can bring a software one"; return; }
  unpack_vulkan || return
  if has_adapter; then
    echo 'WebGPU runs on software (Mesa, unpacked apart)'
  else
    skip_gpu 'WebGPU finds no adapter even with its own software Vulkan'
    unset VK_DRIVER_FILES
  fi
}

has_webgl() {
  timeout 60 node -e "process.exit(require('gl')(4, 4) ? 0 : 1)" >/dev/null 2>&1
}

# Starts an X server that ends with the run, and compiles gl, which `npm ci` leaves alone.
provide_webgl() {
  if [ -z "${DISPLAY:-}" ]; then
    if ! command -v Xvfb >/dev/null && may_install; then
      { timeout 60 apt-get update && timeout 120 apt-get install -y --no-install-recommends xvfb; } >"$gpu/xvfb.log" 2>&1
    fi
    command -v Xvfb >/dev/null || { skip_gpu 'there is no X server (xvfb), which WebGL in Node needs'; return; }
    # It takes a free number and writes it down.
    Xvfb -displayfd 3 -screen 0 640x480x24 -nolisten tcp 3>"$gpu/display" >/dev/null 2>&1 &
    xvfb=$!
    for _ in $(seq 50); do
      [ -s "$gpu/display" ] && break
      sleep 0.1
    done
    [ -s "$gpu/display" ] || { skip_gpu 'the X server (xvfb) did not start'; return; }
    export DISPLAY=":$(cat "$gpu/display")"
  fi
  has_webgl && return
  local headers=/usr/include/node/node.h
  [ -f "$headers" ] && export npm_config_nodedir=/usr
  if ! npm_config_build_from_source=true timeout 240 npm install --prefix "$gpu/gl" --no-audit --no-fund gl@9.0.0-rc.10 >"$gpu/gl.log" 2>&1; then
    skip_gpu "the package gl does not compile here ($(tail -n 1 "$gpu/gl.log"))"
    return
  fi
  rm -rf node_modules/gl
  mv "$gpu/gl/node_modules/gl" node_modules/gl
  has_webgl || skip_gpu 'the package gl makes no WebGL context here'
}
