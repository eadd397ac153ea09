//! Checks the NPU, its driver, its users, and whether the models were converted for it.

use super::facts::{ModelFacts, RuntimeFacts};
use super::item::{Item, Verdict};
use crate::inputs::hint;
use crate::machine::board::{Board, Soc};

/// Oldest driver that the runtime accepts without a warning (issues 232 and 335 of `airockchip/rknn-llm`).
const OLDEST_DRIVER: [u16; 3] = [0, 9, 7];
/// Driver that the SDK asks for (its document of release 1.3.0, section 2.4).
const ADVISED_DRIVER: [u16; 3] = [0, 9, 8];
/// Load that an idle NPU may show, percent: its one-second window still contains a run that has just ended.
const IDLE_PERCENT: u32 = 5;

/// The reason why the NPU does not matter here.
pub(super) fn not_applicable(board: &Board, runtime: RuntimeFacts) -> Option<&'static str> {
    if runtime.is_host {
        let why = "not applicable: the host runtime computes on the CPU";
        return Some(if has_npu(board) {
            why
        } else {
            "not applicable: no NPU"
        });
    }
    (!has_npu(board)).then_some(NO_NPU)
}

/// The finding for an NPU runtime without any sign of an NPU.
pub(super) const NO_NPU: &str = "no NPU found";

fn has_npu(board: &Board) -> bool {
    board.soc.is_some() || board.npu.is_there()
}

pub(super) fn items(board: &Board, models: &[ModelFacts], runtime: RuntimeFacts) -> Vec<Item> {
    if let Some(why) = not_applicable(board, runtime) {
        return [
            "npu_driver",
            "npu_users",
            "model_platform",
            "npu_cores",
            "optimization_level",
        ]
        .map(|name| Item::new(name, Verdict::Note, why))
        .into();
    }
    let mut items = vec![driver(board), users(board)];
    items.extend(of_conversion(board.soc(), models));
    items
}

/// The findings on how models were converted.
pub(super) fn of_conversion(soc: Option<&Soc>, models: &[ModelFacts]) -> [Item; 3] {
    [
        platform(soc, models),
        cores(soc, models),
        optimization_level(models),
    ]
}

fn driver(board: &Board) -> Item {
    const NAME: &str = "npu_driver";
    let Some(version) = &board.npu.driver else {
        return Item::new(NAME, Verdict::Unknown, "driver version unknown")
            .recommending("root, who can read it; or a kernel with Rockchip's driver rknpu")
            .by("sudo cat /sys/kernel/debug/rknpu/version");
    };
    let found = format!("driver {version}");
    let parts: Result<Vec<u16>, _> = version.split('.').map(str::parse).collect();
    let Ok(parts) = parts else {
        return Item::new(NAME, Verdict::Unknown, format!("{found}, which is not a version"))
            .recommending("a kernel with Rockchip's driver rknpu");
    };
    let number: [u16; 3] = std::array::from_fn(|index| parts.get(index).copied().unwrap_or(0));
    if number < OLDEST_DRIVER {
        Item::new(NAME, Verdict::Bad, found)
            .recommending("0.9.8, at least 0.9.7: a newer kernel image of the board has it")
    } else if number < ADVISED_DRIVER {
        Item::new(NAME, Verdict::Note, found).recommending("0.9.8, which the SDK asks for")
    } else {
        Item::new(NAME, Verdict::Ok, found)
    }
}

fn users(board: &Board) -> Item {
    const NAME: &str = "npu_users";
    let npu = &board.npu;
    if !npu.users.is_empty() {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unnamed".into());
        let shown = npu.users.iter().take(3);
        let shown: Vec<String> = shown
            .map(|user| format!("{} ({})", name(&user.name), user.pid))
            .collect();
        let pids: Vec<String> = npu.users.iter().map(|user| user.pid.to_string()).collect();
        return Item::new(NAME, Verdict::Bad, format!("NPU in use by {}", shown.join(", ")))
            .recommending("nothing else on the NPU")
            .by(format!("sudo kill {}", pids.join(" ")));
    }
    if let Some(load) = npu.load_percent.iter().max().filter(|load| **load > IDLE_PERCENT) {
        return Item::new(NAME, Verdict::Bad, format!("NPU busy, {load} %"))
            .recommending("nothing else on the NPU; root can see which process it is")
            .by(hint::tool_as_root(&["doctor"]));
    }
    if npu.devices.is_empty() || npu.hidden_processes > 0 {
        return Item::new(NAME, Verdict::Unknown, "other users of the NPU unknown")
            .recommending("root, who sees the open files of all processes")
            .by(hint::tool_as_root(&["doctor"]));
    }
    Item::new(NAME, Verdict::Ok, "nothing else has the NPU open")
}

/// The finding about the names of the models: the first fault, or whether any name has the information. `is_known`:
/// whether there is something to compare it with.
fn of_models<'a, T>(
    name: &'static str,
    models: &'a [ModelFacts],
    is_known: bool,
    said: impl Fn(&'a ModelFacts) -> Option<T>,
    fault: impl Fn(&ModelFacts, T) -> Option<Item>,
) -> Item {
    let faults = models.iter().filter_map(|model| fault(model, said(model)?));
    if let Some(worst) = faults.min_by_key(|item| item.verdict != Verdict::Bad) {
        return worst;
    }
    let silent = models.iter().filter(|model| said(model).is_none()).count();
    match (models.len(), silent) {
        (all, silent) if silent < all && !is_known => Item::new(
            name,
            Verdict::Unknown,
            "the SoC of this board is unknown, so models cannot be checked against it",
        )
        .recommending("/proc/device-tree readable: a container may hide it"),
        (0, _) => Item::new(name, Verdict::Note, "no model to look at"),
        (_, 0) => Item::new(name, Verdict::Ok, "correct for each model"),
        (all, silent) => Item::new(
            name,
            Verdict::Note,
            format!("{silent} of {all} model names do not say"),
        ),
    }
}

fn platform(soc: Option<&Soc>, models: &[ModelFacts]) -> Item {
    const NAME: &str = "model_platform";
    of_models(
        NAME,
        models,
        soc.is_some(),
        |model| model.platform.as_deref(),
        |model, platform| {
            let soc = soc?;
            (!platform.eq_ignore_ascii_case(soc.name)).then(|| {
                Item::new(
                    NAME,
                    Verdict::Bad,
                    format!("{} is for {platform}, not {}", model.name, soc.name),
                )
                .recommending(format!("a model converted with target_platform {}", soc.name))
            })
        },
    )
}

fn cores(soc: Option<&Soc>, models: &[ModelFacts]) -> Item {
    const NAME: &str = "npu_cores";
    of_models(
        NAME,
        models,
        soc.is_some(),
        |model| model.npu_cores,
        |model, cores| {
            let soc = soc?;
            let found = format!("{} is for {cores} of {} NPU cores", model.name, soc.npu_cores);
            (cores != soc.npu_cores).then(|| {
                Item::new(NAME, Verdict::Bad, found)
                    .recommending(format!("a model converted with num_npu_core {}", soc.npu_cores))
            })
        },
    )
}

fn optimization_level(models: &[ModelFacts]) -> Item {
    const NAME: &str = "optimization_level";
    of_models(
        NAME,
        models,
        true,
        |model| model.optimization_level,
        |model, level| {
            (level != 0).then(|| {
                Item::new(
                    NAME,
                    Verdict::Bad,
                    format!("{} has optimization_level {level}", model.name),
                )
                .recommending(
                    "optimization_level 0, as in Rockchip's published figures: other levels are slower",
                )
            })
        },
    )
}
