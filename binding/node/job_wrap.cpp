#include "job_wrap.h"

#include "errors.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b46444a6f625772, 0x1d0c7a5e94b24c01};

class PendingRun : public Pending {
 public:
  PendingRun(Napi::Promise::Deferred deferred, std::shared_ptr<SharedExecutor> executor, Pin pin,
             std::shared_ptr<JobWrap::Link> link)
      : deferred_(deferred), executor_(std::move(executor)), pin_(std::move(pin)), link_(std::move(link)) {}

  void settle(Napi::Env env, Delivery delivery) override {
    SharedExecutor::note_first_use();
    link_->job.reset();
    auto& outcome = std::get<engine::Outcome>(delivery);
    if (outcome.error) {
      deferred_.Reject(to_js_error(env, *outcome.error).Value());
    } else {
      deferred_.Resolve(to_js(env, *outcome.result));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<SharedExecutor> executor_;
  Pin pin_;
  std::shared_ptr<JobWrap::Link> link_;
};

}  // namespace

Napi::Function JobWrap::define(Napi::Env env) {
  return DefineClass(env, "Job", {InstanceMethod<&JobWrap::cancel>("cancel", napi_enumerable)});
}

Napi::Object JobWrap::start(Napi::Env env, std::shared_ptr<SharedExecutor> executor, Pin pin, const Submit& submit) {
  AddonData& data = AddonData::of(env);
  const auto deferred = Napi::Promise::Deferred::New(env);
  Parts parts{std::make_shared<Link>(), deferred.Promise()};
  const Napi::Object wrap = data.construct(data.job_class, parts);
  const Ticket ticket =
      data.completion().expect(std::make_unique<PendingRun>(deferred, std::move(executor), std::move(pin), parts.link));
  try {
    parts.link->job = submit([ticket](engine::Outcome outcome) { ticket.deliver(std::move(outcome)); });
  } catch (const Error& error) {
    ticket.deliver(engine::Outcome{nullptr, std::make_unique<Error>(error)});
  }
  return wrap;
}

JobWrap::JobWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JobWrap>(info) {
  guarded(info.Env(), [&] {
    Parts& parts = AddonData::of(info.Env()).take_parts<Parts>("model.run()");
    link_ = parts.link;
    Napi::Object self = info.This().As<Napi::Object>();
    self.TypeTag(&kTag);
    self.DefineProperty(Napi::PropertyDescriptor::Value("promise", parts.promise, napi_enumerable));
  });
}

void JobWrap::cancel(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    require_tag(info, kTag, "Job");
    // A copy: cancelling may settle the job at once on this thread.
    if (const std::shared_ptr<engine::Job> job = link_->job) job->cancel();
  });
}

}  // namespace kfd::node
