// What has threads of its own that must have ended before the process tears its libraries down: executors (libtorch)
// and prefix writers (libllama).
#pragma once

namespace kfd::node {

class StoppedAtExit {
 public:
  StoppedAtExit() = default;
  StoppedAtExit(const StoppedAtExit&) = delete;
  StoppedAtExit& operator=(const StoppedAtExit&) = delete;
  // Any thread; waits for what the threads are doing (a second caller waits for the first). Idempotent.
  virtual void stop() = 0;
  // Called when work has ended that may have made statics of a library on its first use: exit handlers run in the
  // reverse order of their registration, mixed with the destructors of statics, so ours must come after those.
  static void note_first_use();

 protected:
  virtual ~StoppedAtExit() = default;
  // To be called by the derived class when it is whole, and before anything of it is gone.
  void remember();
  void forget();
};

}  // namespace kfd::node
