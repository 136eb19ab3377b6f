#include "engine/model.h"

#include <malloc.h>

#include "engine/archive.h"
#include "engine/errors.h"
#include "engine/forward.h"
#include "engine/preprocess.h"

namespace kfd::engine {
namespace {

at::Device parse_device(const std::string& name) {
  at::Device device(at::kCPU);
  try {
    device = at::Device(name);
  } catch (...) {
    throw Error(ErrorCode::kDevice, "device \"" + name + "\" is not known",
                "use \"cpu\", \"cuda\" or \"cuda:<index>\"");
  }
  if (device.is_cuda()) {
    if (!torch::cuda::is_available()) {
      throw Error(ErrorCode::kDevice, "device \"" + name + "\" asked for, but this libtorch finds no CUDA device",
                  "use \"cpu\", or a CUDA libtorch with a working driver");
    }
    const auto count = static_cast<int64_t>(torch::cuda::device_count());
    if (device.index() >= count) {
      throw Error(ErrorCode::kDevice,
                  "device \"" + name + "\" asked for, but there are " + std::to_string(count) + " CUDA devices");
    }
    // fp32 means fp32: torch lets convolutions round to TF32 by default
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
  } else if (!device.is_cpu()) {
    throw Error(ErrorCode::kDevice, "device \"" + name + "\" is not supported", "use \"cpu\" or \"cuda\"");
  }
  return device;
}

// Runs the module whole and the own walk on the same random image; they must agree. Fills classes and the error.
void verify_whole(const std::shared_ptr<Model>& model) {
  const at::Tensor image = verification_image(model->options.input, model->device);
  Module module = model->module;
  const c10::IValue reference = module.forward({image});
  const bool is_kfd = model->heads.has_value();
  at::Tensor expected;
  if (is_kfd) {
    if (!reference.isTuple() || reference.toTupleRef().elements().size() != 2) {
      throw Error(ErrorCode::kModelUnsupported, "a KFD module's forward must return (p, S)");
    }
    expected = reference.toTupleRef().elements()[0].toTensor();
  } else if (reference.isTensor()) {
    expected = reference.toTensor();
  } else {
    throw Error(ErrorCode::kModelUnsupported,
                "the module returns " + reference.tagKind() + " where logits were expected",
                "export the module so that forward returns one tensor of logits");
  }
  double worst = 0;
  for (const NamedTensor& output : run_forward(model, {}, {}, image, {})) {
    const bool is_map = output.name == "map";
    const at::Tensor other = is_map ? reference.toTupleRef().elements()[1].toTensor().select(1, 1) : expected;
    worst = std::max(worst, relative_error(output.value, other));
  }
  if (!(worst <= kVerificationTolerance)) {
    throw Error(ErrorCode::kModelUnsupported,
                "walking the blocks gives other outputs than the module's own forward (relative difference " +
                    std::to_string(worst) + ")",
                "the module computes something outside patch_embed, blocks, norm and head; use plain_forward");
  }
  model->info.verification_error = std::max(model->info.verification_error, worst);
  model->info.classes = expected.size(-1);
}

// The explainer's prompts, on the detector's device.
void load_prompts(Model& model) {
  ModelInfo& info = model.info;
  const at::Tensor feature = model.vit->head()(
      at::zeros({1, info.prefix_tokens + info.grid_height * info.grid_width, info.width}, at::device(model.device)));
  const PromptModule::Inputs inputs{info.taps.size(), info.input_height, info.input_width, feature.size(-1)};
  model.prompts.emplace(model.options.prompts_path, model.device, inputs);
  info.prompt_tokens = model.prompts->tokens();
  info.prompt_width = model.prompts->width();
}

// The walk over blocks, where the kind has one.
void prepare_walk(const std::shared_ptr<Model>& model) {
  const ModelOptions& options = model->options;
  const bool is_kfd = model->info.kind == ModelKind::kKfd;
  Module encoder = model->module;
  if (is_kfd) {
    const auto found = child(model->module, "encoder");
    if (!found) {
      throw Error(ErrorCode::kModelUnsupported,
                  "a KFD module needs the child `encoder`; children found: " + list_children(model->module),
                  "save the scripted module unfrozen");
    }
    encoder = *found;
  }
  model->vit.emplace(encoder, options, model->device, model->info);
  if (is_kfd) {
    model->heads.emplace(model->module, options, model->info.depth, model->info.width);
    model->info.taps = model->heads->taps();
    model->heads->choose_locator(model->device, model->info);
  }
  verify_whole(model);
  if (!options.prompts_path.empty()) {
    load_prompts(*model);
  }
  model->vit->drop_module_weights();
}

std::shared_ptr<Model> load_checked(const std::string& path, const ModelOptions& options) {
  validate_input_spec(options.input);
  if (!options.prompts_path.empty() && (options.kind != ModelKind::kKfd || options.plain_forward)) {
    throw Error(ErrorCode::kInvalidArgument, "a prompts file belongs to a KFD model whose blocks are walked",
                "leave prompts_path out, or load a KFD model without plain_forward");
  }
  auto model = std::make_shared<Model>();
  model->options = options;
  model->device = parse_device(options.device);
  model->module = load_archive(path, model->device);

  ModelInfo& info = model->info;
  info.kind = options.kind;
  info.device = model->device.str();
  info.precision = "fp32";
  info.input_width = options.input.width;
  info.input_height = options.input.height;
  if (options.kind == ModelKind::kModule || options.plain_forward) {
    info.execution = "plain-forward";
    return model;
  }
  c10::InferenceMode inference;
  prepare_walk(model);
  return model;
}

}  // namespace

std::shared_ptr<Model> load_model(const std::string& path, const ModelOptions& options) {
  try {
    auto model = load_checked(path, options);
#if defined(__GLIBC__)
    malloc_trim(0);  // the dropped weights went back to the heap; give them to the system
#endif
    return model;
  } catch (...) {
    throw current_error("loading " + path, ErrorCode::kModelUnsupported);
  }
}

const ModelInfo& info(const Model& model) { return model.info; }

namespace {

void validate_tensor(const Model& model, const TensorInput& tensor) {
  const auto& [batch, channels, height, width] = tensor.shape;
  const auto shape = c10::str("(", batch, ", ", channels, ", ", height, ", ", width, ")");
  if (batch < 1 || channels != 3 || height < 1 || width < 1 || batch > (1 << 16) || height > 16384 || width > 16384 ||
      static_cast<int64_t>(tensor.data.size()) != batch * channels * height * width) {
    throw Error(ErrorCode::kInvalidArgument,
                "expected an input tensor of sizes (B, 3, H, W) with as many values, received " + shape + " and " +
                    std::to_string(tensor.data.size()) + " values");
  }
  if (model.info.kind != ModelKind::kModule && (height != model.info.input_height || width != model.info.input_width)) {
    throw Error(ErrorCode::kInvalidArgument, "the model takes (B, 3, " + std::to_string(model.info.input_height) +
                                                 ", " + std::to_string(model.info.input_width) + "), received " +
                                                 shape);
  }
}

void validate_hooks(const Model& model, const Hooks& hooks) {
  if (!model.walks_blocks()) {
    throw Error(ErrorCode::kInvalidArgument, "hooks need a model whose blocks are walked",
                "load it as a vision transformer or KFD model, without plain_forward");
  }
  const ModelInfo& info = model.info;
  const bool wants_attention = hooks.class_attention || hooks.prefix_mass || !hooks.direction.empty();
  if ((wants_attention || hooks.class_token) && !model.vit->stem().has_class_token()) {
    throw Error(ErrorCode::kModelUnsupported, "the model has no class token, so hooks of the class token have no value",
                "ask for token outputs only");
  }
  if (wants_attention && !model.vit->attention_known()) {
    throw Error(ErrorCode::kModelUnsupported, "this model's attention is not known, so its class row cannot be had",
                "ask for class tokens and token outputs only");
  }
  if (!hooks.direction.empty()) {
    if (!model.vit->contribution_defined()) {
      throw Error(ErrorCode::kModelUnsupported,
                  "contributions along a direction are not defined for this model (attn.norm or an unknown ls1)");
    }
    const auto length = static_cast<int64_t>(hooks.direction.size());
    if (length != info.width && length != info.depth * info.width) {
      throw Error(ErrorCode::kInvalidArgument, "a direction has " + std::to_string(info.width) + " values, or " +
                                                   std::to_string(info.depth * info.width) +
                                                   " for one a block; received " + std::to_string(length));
    }
  }
  for (const int64_t block : hooks.tokens) {
    if (block < 0 || block >= info.depth) {
      throw Error(ErrorCode::kInvalidArgument, "token outputs of block " + std::to_string(block) +
                                                   " asked for; blocks are 0 to " + std::to_string(info.depth - 1));
    }
  }
}

}  // namespace

void validate_request(const Model& model, const Request& request) {
  const bool has_image = request.image.data != nullptr;
  const bool has_tensor = request.tensor.shape[0] > 0;
  if (has_image == has_tensor) {
    throw Error(ErrorCode::kInvalidArgument, "a request needs either an image or an input tensor");
  }
  if (has_image) {
    validate_image(request.image);
  } else {
    validate_tensor(model, request.tensor);
  }
  if (request.hooks.any()) {
    validate_hooks(model, request.hooks);
  }
  if (request.intermediates && !model.heads) {
    throw Error(ErrorCode::kInvalidArgument, "intermediates exist for KFD models only, and not with plain_forward");
  }
  if (request.prompts && !model.prompts) {
    throw Error(ErrorCode::kInvalidArgument, "prompts asked for, but the model was loaded without a prompts file",
                "load it with prompts_path");
  }
}

}  // namespace kfd::engine
