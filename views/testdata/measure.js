(() => {
  const wrong = [];
  const root = document.documentElement;
  for (const details of document.querySelectorAll('details')) details.open = true;
  if (root.scrollWidth > root.clientWidth) wrong.push(`scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}`);

  // Links within a sentence are excepted (WCAG 2.2 §2.5.8).
  for (const target of document.querySelectorAll('button, select, input:not([type=hidden]), summary, a.button, .refresh a')) {
    const box = target.getBoundingClientRect();
    if (box.height && box.height < 44) wrong.push(`${target.outerHTML.slice(0, 60)} is ${box.height} px high`);
  }

  const numbers = (color) => {
    const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    c.fillStyle = color;
    c.fillRect(0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = numbers(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest('script, noscript, .vh, [hidden]')) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) wrong.push(`"${walker.currentNode.data.trim().slice(0, 40)}" has a contrast of ${contrast.toFixed(2)}`);
  }
  return wrong;
})()
