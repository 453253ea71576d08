// A libcuda.so.1 without a GPU, against which PyCUDA itself runs: memory is the host's, kernels are
// the CUDA sources compiled for the host, prototypes are cuda.h's. What is not here fails.
#include <cuda.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

extern "C" int emulator_launch(const char* name, const unsigned int* grid,
                               const unsigned int* block, unsigned char* buffer, long size);
extern "C" long emulator_parameters(const char* name, long* out);

namespace {

using Work = std::function<void()>;
struct Recording {
    std::vector<Work> work;
};
std::map<CUstream, Recording*> recordings;
std::vector<CUcontext> contexts;
const CUcontext kContext = reinterpret_cast<CUcontext>(0x10);
std::map<CUdeviceptr, std::size_t> live;
long next_handle = 0x1000;

template <typename T>
T handle() {
    next_handle += 16;
    return reinterpret_cast<T>(next_handle);
}

CUresult submit(CUstream stream, Work work) {
    if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    const auto found = recordings.find(stream);
    if (found == recordings.end()) {
        work();
    } else {
        found->second->work.push_back(std::move(work));
    }
    return CUDA_SUCCESS;
}

void* host(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

bool inside(CUdeviceptr pointer, std::size_t size) {
    auto after = live.upper_bound(pointer);
    if (after == live.begin()) return false;
    --after;
    return pointer + size <= after->first + after->second;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned int) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
CUresult cuGetErrorString(CUresult, const char** text) {
    return *text = "the played driver refuses", CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int index) { return *device = index, CUDA_SUCCESS; }
CUresult cuDeviceGetName(char* name, int size, CUdevice) {
    std::snprintf(name, static_cast<std::size_t>(size), "Played GPU");
    return CUDA_SUCCESS;
}
CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice) {
    return *major = 9, *minor = 0, CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute, CUdevice) {
    return *value = 1, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    return *context = kContext, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxPushCurrent_v2(CUcontext context) { return contexts.push_back(context), CUDA_SUCCESS; }
CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context != nullptr) *context = contexts.back();
    return contexts.pop_back(), CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* device) { return *device = 0, CUDA_SUCCESS; }
CUresult cuCtxGetApiVersion(CUcontext, unsigned int* v) { return *v = 13000, CUDA_SUCCESS; }
CUresult cuCtxSynchronize() { return CUDA_SUCCESS; }

CUresult cuStreamCreate(CUstream* stream, unsigned int) {
    return *stream = handle<CUstream>(), CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamQuery(CUstream) { return CUDA_SUCCESS; }
CUresult cuEventCreate(CUevent* event, unsigned int) {
    return *event = handle<CUevent>(), CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
CUresult cuEventQuery(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventElapsedTime_v2(float* ms, CUevent, CUevent) { return *ms = 0.25f, CUDA_SUCCESS; }

CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t size) {
    if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    void* memory = std::aligned_alloc(256, (size + 255) / 256 * 256);
    std::memset(memory, 0xA5, size);
    *pointer = reinterpret_cast<CUdeviceptr>(memory);
    return live[*pointer] = size, CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr pointer) {
    if (live.erase(pointer) == 0) return CUDA_ERROR_INVALID_VALUE;
    return std::free(host(pointer)), CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void** memory, size_t size, unsigned int) {
    return *memory = std::malloc(size), CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* memory) { return std::free(memory), CUDA_SUCCESS; }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t size, CUstream stream) {
    if (!inside(to, size)) return CUDA_ERROR_INVALID_VALUE;
    return submit(stream, [=] { std::memcpy(host(to), from, size); });
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t size, CUstream stream) {
    if (!inside(from, size)) return CUDA_ERROR_INVALID_VALUE;
    return submit(stream, [=] { std::memcpy(to, host(from), size); });
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    if (!inside(from, size) || !inside(to, size)) return CUDA_ERROR_INVALID_VALUE;
    return submit(stream, [=] { std::memcpy(host(to), host(from), size); });
}
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
    const CUDA_MEMCPY2D c = *copy;
    if (c.srcMemoryType != CU_MEMORYTYPE_HOST || c.dstMemoryType != CU_MEMORYTYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!inside(c.dstDevice, c.dstPitch * (c.Height - 1) + c.WidthInBytes))
        return CUDA_ERROR_INVALID_VALUE;
    return submit(stream, [=] {
        for (size_t row = 0; row < c.Height; ++row)
            std::memcpy(host(c.dstDevice + row * c.dstPitch),
                        static_cast<const char*>(c.srcHost) + row * c.srcPitch, c.WidthInBytes);
    });
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t count, CUstream stream) {
    if (!inside(to, 4 * count)) return CUDA_ERROR_INVALID_VALUE;
    return submit(stream, [=] {
        for (size_t i = 0; i < count; ++i) static_cast<unsigned int*>(host(to))[i] = value;
    });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void*, unsigned int, CUjit_option*, void**) {
    return *module = handle<CUmodule>(), CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule* module, const void*) {
    return *module = handle<CUmodule>(), CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
    long out[64];
    if (emulator_parameters(name, out) < 0) return CUDA_ERROR_NOT_FOUND;
    *function = reinterpret_cast<CUfunction>(new std::string(name));
    return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute, CUfunction) {
    return *value = 0, CUDA_SUCCESS;
}
CUresult cuFuncSetBlockShape(CUfunction, int, int, int) { return CUDA_SUCCESS; }
CUresult cuLaunchKernel(CUfunction function, unsigned int gx, unsigned int gy, unsigned int gz,
                        unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
                        CUstream stream, void** parameters, void** extra) {
    if (parameters != nullptr || extra == nullptr || shared > 48 * 1024)
        return CUDA_ERROR_INVALID_VALUE;
    const unsigned char* buffer = nullptr;
    size_t size = 0;
    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = static_cast<const unsigned char*>(extra[1]);
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<size_t*>(extra[1]);
    }
    const std::string name = *reinterpret_cast<std::string*>(function);
    std::vector<unsigned char> bytes(buffer, buffer + size);
    return submit(stream, [=]() mutable {
        const unsigned int grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
        const int status =
            emulator_launch(name.c_str(), grid, block, bytes.data(), static_cast<long>(size));
        if (status != 0) {
            std::fprintf(stderr, "%s: wrong parameters\n", name.c_str());
            std::abort();
        }
    });
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
    return recordings[stream] = new Recording, CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    *graph = reinterpret_cast<CUgraph>(recordings.at(stream));
    return recordings.erase(stream), CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
    *executable = reinterpret_cast<CUgraphExec>(new Recording(*reinterpret_cast<Recording*>(graph)));
    return CUDA_SUCCESS;
}
CUresult cuGraphExecUpdate_v2(CUgraphExec executable, CUgraph graph,
                              CUgraphExecUpdateResultInfo* info) {
    const auto& from = *reinterpret_cast<Recording*>(graph);
    auto& to = *reinterpret_cast<Recording*>(executable);
    std::memset(info, 0, sizeof *info);
    if (from.work.size() != to.work.size()) {
        info->result = CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }
    return to = from, CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
    return delete reinterpret_cast<Recording*>(graph), CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
    return delete reinterpret_cast<Recording*>(executable), CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    for (const Work& work : reinterpret_cast<Recording*>(executable)->work) submit(stream, work);
    return CUDA_SUCCESS;
}
}
