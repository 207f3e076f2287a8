// Waits until views show the scene's current state in their present sizes, as pictures with all detail and as text; gives what is
// wrong with the others.
async ([views, seconds]) => {
    const end = performance.now() + 1000 * seconds;
    let due;
    while (!window.dicomdock || !document.querySelector("[data-view]")) {  // a page that is just coming
        if (performance.now() > end) return ["no view is there"];
        await new Promise((then) => setTimeout(then, 30));
    }
    await window.dicomdock.settled();
    const state = window.trame.state;
    do {  // what the page has set is with the viewer before the viewer says what it has
        await state.flush();
        due = await window.trame.trigger("scene_states");
    } while (state.dirtyKeys.size && performance.now() < end);
    for (;;) {
        const there = Object.fromEntries(
            [...document.querySelectorAll("[data-view]")].map((one) => [one.dataset.view, one]));
        const missing = [];
        for (const name of views.length ? views : Object.keys(there)) {
            const view = there[name];
            const canvas = view?.querySelector("canvas");
            const box = view?.getBoundingClientRect();
            const drawn = Number(view?.dataset.whole ?? -1);
            const fits = canvas && Math.abs(canvas.width - box.width) < 1 && Math.abs(canvas.height - box.height) < 1;
            const text = view?.querySelector(".over[data-drawn]");
            const written = text ? Number(text.dataset.drawn) : Infinity;
            if (!fits || drawn < due[name] || written < due[name]) {
                const size = canvas ? `${canvas.width} x ${canvas.height} in ${box.width} x ${box.height}` : "absent";
                missing.push(`${name} shows state ${drawn}, text ${written} of ${due[name]}, ${size}`);
            }
        }
        if (Object.keys(there).length && !missing.length) return [];
        if (performance.now() > end) return missing.length ? missing : ["no view is there"];
        await new Promise((then) => setTimeout(then, 30));
    }
}
