/** Opens a GPU: `navigator.gpu` in browsers, Dawn (the package `webgpu`) in Node. */
import { BackendError } from '../../../errors.ts';
import { loadWebGpu } from '../packages.ts';

export interface Opened {
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  /** Name and driver, for reports. */
  readonly description: string;
  /** Whether it runs on the CPU. */
  readonly software: boolean;
}

// Dawn's devices end with the object that created them, so these are kept.
const instances = new Map<string, Promise<GPU>>();

async function entry(dawn: readonly string[]): Promise<GPU> {
  const here = typeof navigator === 'undefined' ? undefined : (navigator as { readonly gpu?: GPU }).gpu;
  if (here !== undefined) return here;
  const key = dawn.join(' ');
  let made = instances.get(key);
  if (made === undefined) {
    made = loadWebGpu().then(({ create }) => create([...dawn]));
    instances.set(key, made);
    made.catch(() => instances.delete(key));
  }
  return made;
}

/** Device files of a GPU on Linux: any driver's, NVIDIA's, that of WSL. */
const LINUX_DEVICES = ['/dev/dri', '/dev/nvidia0', '/dev/dxg'];

/**
 * Throws BackendError where there is no GPU. Dawn would find out too, but prints warnings about missing drivers, which mean
 * nothing to a user who did not request a GPU.
 */
export async function expectHardware(): Promise<void> {
  if (typeof process === 'undefined' || process.platform !== 'linux') return;
  const { existsSync } = await import('node:fs');
  if (LINUX_DEVICES.some((path) => existsSync(path))) return;
  throw new BackendError(`gpu: there is no GPU here (none of ${LINUX_DEVICES.join(', ')} exists)`);
}

/**
 * Opens the GPU with the adapter's own limits. `dawn` has flags of Dawn in Node, for instance 'backend=null'.
 * Throws BackendError if there is none.
 */
export async function openWebGpu(dawn: readonly string[]): Promise<Opened> {
  const gpu = await entry(dawn);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    throw new BackendError(
      'gpu: WebGPU finds no adapter here (in Node it needs a GPU driver with Vulkan, Metal or Direct3D 12; ' +
        'on Linux check `vulkaninfo --summary`)',
    );
  }
  const { limits, features } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: (['timestamp-query'] as const).filter((feature) => features.has(feature)),
    requiredLimits: {
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  });
  const { vendor, architecture, device: name, description } = adapter.info;
  const words = [...new Set([vendor, architecture, name, description])].filter((word) => word !== '');
  const text = words.length === 0 ? 'an unnamed adapter' : words.join(' ');
  const marked = (adapter.info as { readonly isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  return {
    adapter,
    device,
    description: text,
    software: marked || /llvmpipe|lavapipe|swiftshader|softpipe|basic render/i.test(text),
  };
}
