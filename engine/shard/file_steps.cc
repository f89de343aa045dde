#include "engine/shard/file_steps.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace sluice::shard {
namespace {

constexpr std::uint64_t kZeroBytes = 256u << 10;  // of one write: a commit may wait behind it
constexpr std::uint64_t kZerosGrantedMax = 8u << 20;

using Kind = segments::FileStep::Kind;

bool needs_file(Kind kind) {
  return kind == Kind::kAllocate || kind == Kind::kZeroFill || kind == Kind::kSyncFile ||
         kind == Kind::kWriteHeader;
}

/// Of one write of zeros. Small segments are given theirs in several as well: what goes on between two of
/// them is then the same for all, and simulated segments are small.
std::size_t zero_bytes(std::uint64_t segment_bytes) {
  const std::uint64_t wanted = std::min(kZeroBytes, segment_bytes / 8);
  return std::max<std::size_t>(wanted - wanted % segments::kBlockBytes, segments::kBlockBytes);
}

/// Epoch of a segment's file name, if it is one.
std::optional<Epoch> epoch_of(const std::string& name) {
  const auto dot = name.find(".segment");
  if (dot == std::string::npos || dot + 8 != name.size()) return std::nullopt;
  return Epoch(std::strtoull(name.c_str(), nullptr, 16));
}

}  // namespace

FileSteps::FileSteps(io::Io& io, std::string directory, bool direct, segments::SegmentLog& log,
                     Events& events)
    : io_(io),
      directory_(std::move(directory)),
      direct_(direct),
      log_(log),
      events_(events),
      zeros_(zero_bytes(log.options().segment_bytes)),
      header_(segments::kBlockBytes) {}

FileSteps::~FileSteps() {
  close_step_file();
  if (directory_file_ != io::Handle::kNone) io_.close(directory_file_);
  for (const auto& [epoch, file] : files_) io_.close(file);
  for (const io::Handle file : retired_) io_.close(file);
  for (const io::Handle file : retired_before_) io_.close(file);
}

std::string FileSteps::path(const std::string& name) const { return directory_ + "/" + name; }

io::Handle FileSteps::file(Epoch epoch) const {
  const auto found = files_.find(epoch);
  return found == files_.end() ? io::Handle::kNone : found->second;
}

void FileSteps::adopt(Epoch epoch, io::Handle file) {
  const auto [at, fresh] = files_.emplace(epoch, file);
  if (!fresh && at->second != file) io_.close(file);
}

void FileSteps::close_step_file() {
  if (step_file_ != io::Handle::kNone) io_.close(step_file_);
  step_file_ = io::Handle::kNone;
  step_file_name_.clear();
}

void FileSteps::pump() {
  if (step_ || stopping_) return;
  step_ = log_.next_step();
  if (!step_) return;
  from_path_ = path(step_->name);
  to_path_ = path(step_->new_name);
  zero_filled_ = 0;
  begin();
}

void FileSteps::begin() {
  if (needs_file(step_->kind) && step_file_name_ != step_->name) {
    close_step_file();
    io_.open(opened_, from_path_.c_str(), {.direct = direct_});
    return;
  }
  switch (step_->kind) {
    case Kind::kCreate:
      close_step_file();
      io_.open(opened_, from_path_.c_str(), {.create = true, .exclusive = true, .direct = direct_});
      break;
    case Kind::kAllocate:
      io_.allocate(done_, step_file_, step_->size_bytes);
      break;
    case Kind::kZeroFill:
      continue_zero_fill();
      break;
    case Kind::kSyncFile:
      io_.sync(done_, step_file_);
      break;
    case Kind::kWriteHeader: {
      const auto bytes = log_.header_bytes();
      std::ranges::copy(bytes, header_.span().begin());
      io_.write(done_, step_file_, header_.span().first(bytes.size()), 0, false);
      break;
    }
    case Kind::kRename:
      io_.rename(done_, from_path_.c_str(), to_path_.c_str());
      break;
    case Kind::kSyncDirectory:
      if (directory_file_ == io::Handle::kNone) {
        opening_directory_ = true;
        io_.open(opened_, directory_.c_str(), {.read_only = true, .directory = true});
      } else {
        io_.sync(done_, directory_file_);
      }
      break;
    case Kind::kUnlink:
      io_.unlink(done_, from_path_.c_str());
      break;
  }
}

void FileSteps::on_opened(std::int32_t result) {
  ++completions_;
  if (stopping_) {
    // What a step leaves undone, the next start finds and does again.
    if (result >= 0) io_.close(static_cast<io::Handle>(result));
    return;
  }
  if (result < 0) {
    const int error = -result;
    retry_ = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
    if (!retry_) fail(error);
    return;
  }
  const auto file = static_cast<io::Handle>(result);
  if (std::exchange(opening_directory_, false)) {
    directory_file_ = file;
    begin();
    return;
  }
  step_file_ = file;
  step_file_name_ = step_->name;
  if (step_->kind == Kind::kCreate) {
    finish();
  } else {
    begin();
  }
}

void FileSteps::grant_zeros(std::uint64_t size_bytes) {
  zeros_granted_ = std::min(zeros_granted_ + size_bytes, kZerosGrantedMax);
  if (std::exchange(zeros_wait_, false) && !stopping_) continue_zero_fill();
}

void FileSteps::hurry(bool wanted) {
  hurry_ = wanted;
  if (wanted && std::exchange(zeros_wait_, false) && !stopping_) continue_zero_fill();
}

void FileSteps::skip_zeros() {
  if (!can_allocate_ || stopping_ || !step_ || step_->kind != Kind::kZeroFill) return;
  if (!log_.skip_zeros()) return;
  skip_zeros_ = true;
  // One more piece: the step ends with it, in its completion's handler like every other.
  if (std::exchange(zeros_wait_, false)) continue_zero_fill();
}

void FileSteps::continue_zero_fill() {
  const std::uint64_t left = step_->size_bytes - zero_filled_;
  const auto piece = zeros_.span().first(
      static_cast<std::size_t>(std::min<std::uint64_t>(left, zeros_.size_bytes())));
  if (!hurry_ && !skip_zeros_ && zeros_granted_ < piece.size()) {
    zeros_wait_ = true;
    return;
  }
  zeros_granted_ -= std::min<std::uint64_t>(zeros_granted_, piece.size());
  io_.write(done_, step_file_, piece, step_->offset + zero_filled_, false);
}

void FileSteps::on_done(std::int32_t result) {
  ++completions_;
  if (stopping_) return;
  // Not every filesystem can, and each says so in its own way. What else is wrong shows in the zeros.
  const bool space = result == -ENOSPC || result == -EDQUOT;
  if (step_->kind == Kind::kAllocate && result < 0 && !space && result != -EIO) {
    can_allocate_ = false;
    return finish();
  }
  if (result < 0) {
    fail(-result);
    return;
  }
  if (step_->kind == Kind::kZeroFill) {
    // A short write of a full disk says how far it came; what is left is asked for again and then
    // fails with ENOSPC if it must. Nothing moved at all is no progress: treat it as that error.
    if (result == 0) {
      fail(ENOSPC);
      return;
    }
    zero_filled_ += static_cast<std::uint64_t>(result);
    zeros_written_ += static_cast<std::uint64_t>(result);
    if (zero_filled_ < step_->size_bytes && !skip_zeros_) {
      continue_zero_fill();
      return;
    }
  }
  if (step_->kind == Kind::kWriteHeader &&
      result != static_cast<std::int32_t>(segments::kBlockBytes)) {
    fail(EIO);
    return;
  }
  finish();
}

void FileSteps::retire_file(Epoch epoch) {
  // A reader that is still at it looks its entry up again before it believes the bytes.
  const auto found = files_.find(epoch);
  if (found == files_.end()) return;
  retired_.push_back(found->second);
  files_.erase(found);
}

void FileSteps::tick() {
  for (const io::Handle file : retired_before_) io_.close(file);
  retired_before_ = std::exchange(retired_, {});
  if (std::exchange(retry_, false) && !stopping_) begin();
}

void FileSteps::finish() {
  if (step_->kind == Kind::kRename) {
    if (const auto retired = epoch_of(step_->name)) retire_file(*retired);
    if (step_file_name_ == step_->name) step_file_name_ = step_->new_name;
    if (const auto epoch = epoch_of(step_->new_name); epoch && step_file_name_ == step_->new_name) {
      adopt(*epoch, std::exchange(step_file_, io::Handle::kNone));
      step_file_name_.clear();
    }
  }
  if (step_->kind == Kind::kUnlink) {
    if (const auto epoch = epoch_of(step_->name)) retire_file(*epoch);
  }
  step_.reset();
  skip_zeros_ = false;
  log_.step_done();
  events_.on_step_done();
}

void FileSteps::fail(int error) {
  // A sync that fails has lost something, whatever it says (S35); only what asks for space waits.
  const bool syncs = step_->kind == Kind::kSyncFile || step_->kind == Kind::kSyncDirectory;
  const bool no_space = !syncs && (error == ENOSPC || error == EDQUOT);
  const std::string what = from_path_;
  step_.reset();
  skip_zeros_ = false;
  if (no_space) {
    log_.step_failed_no_space();
    events_.on_step_done();
  } else {
    stopping_ = true;  // the plan still has this step out: it must not be asked for another
    events_.on_step_failed(what, error);
  }
}

}  // namespace sluice::shard
